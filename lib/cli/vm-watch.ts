/** Watches an operation until it is over, and tells its story as it comes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CATALOGUE, type ErrorCode } from '../errors';
import { printable } from '../log-line';
import type { OperationDetails } from '../store/vm-front-end';
import type { App } from './app';
import { EXIT, type ExitCode, exitCodeOf } from './exit-codes';
import { storyLine } from './vm-report';

const POLL_INTERVAL_MS = 200;
const WAITS = 'it waits to be taken up: is the daemon of its management node running?';
/** A daemon takes an operation up within a second. */
const PATIENCE_MS = 5_000;

/** @param wanted the state that counts as success */
export async function watchOperation(app: App, id: number, wanted: 'done' | 'cancelled' = 'done'): Promise<ExitCode> {
  const { print, stopSignal } = app;
  const frontEnd = await app.frontEnd();
  const since = performance.now();
  let isToldToWait = print.isLive; // there the line of the moment says so
  for (let told = 0; ;) {
    const operation = await frontEnd.showOperation(id);
    const story = await frontEnd.operationStory(id);
    for (const entry of story.slice(told)) {
      const line = storyLine(entry, print);
      if (line !== null) print.line(line);
    }
    told = story.length;
    const isOver = operation.ended !== null;
    if (isOver || stopSignal.aborted) {
      print.result(operation, () => sentence(operation));
      return operation.state === wanted ? EXIT.ok : isOver ? exitCodeFor(operation) : EXIT.tryAgain;
    }
    if (!isToldToWait && operation.started === null && performance.now() - since > PATIENCE_MS) {
      isToldToWait = true;
      print.line(`operation ${id}: ${WAITS}`);
    }
    print.live(`${operation.percent} %  ${operation.step ?? WAITS}`);
    await sleep(POLL_INTERVAL_MS, undefined, { signal: stopSignal }).catch(() => {});
  }
}

export function sentence({ id, kind, computer, state, error }: OperationDetails): string {
  const what = `operation ${id}: ${kind}${computer === null ? '' : ` of ${computer}`} is ${state}`;
  return error === null
    ? what
    : `${what}\n  ${error.code} (${error.blame}): ${printable(error.message)}\n  hint: ${error.hint}`;
}

function exitCodeFor({ error, state }: OperationDetails): ExitCode {
  if (error === null || !Object.hasOwn(CATALOGUE, error.code)) return state === 'done' ? EXIT.conflict : EXIT.failed;
  const code = error.code as ErrorCode;
  return exitCodeOf({ ...CATALOGUE[code], code });
}
