/** `provisiond explain`: in plain words why a request is where it is, and what happens next and when. */
import type { Command } from 'commander';
import { STATE_HANDLERS } from '../states';
import { isWorkable } from '../model/states';
import { END_LOOKAHEAD_SECONDS, timingsFrom, type Timings } from '../model/timings';
import type { ReservationDetails } from '../store/front-end';
import type { App } from './app';
import { lastFailure } from './timeline';
import { type Execute, addVerb, wholeNumber } from './verb';

export function addExplainVerb(program: Command, execute: Execute): void {
  addVerb(program, 'explain', {
    about: 'say in plain words why a request is where it is, and what happens next and when',
    examples: ['explain 12', 'explain 12 --json'],
  })
    .argument('<request>', 'number of the request', wholeNumber(1))
    .action((request: number, _options, command: Command) => execute(command, (app) => explain(app, request)));
}

/** What an explanation is made of. */
export interface Situation {
  readonly details: ReservationDetails;
  /** By the database's clock, `YYYY-MM-DD HH:MM:SS`. */
  readonly now: string;
  readonly timings: Timings;
  /** Who has the lease of the management node; null: no daemon works. */
  readonly holder: string | null;
}

async function explain(app: App, requestId: number): Promise<void> {
  const frontEnd = await app.frontEnd();
  const { store } = app.open();
  const node = await store.managementNode(app.config.managementNode);
  const [details, now, holder, variables] = await Promise.all([
    frontEnd.show(requestId),
    store.now(),
    store.leaseHolder(node.id),
    store.variables(),
  ]);
  const sentences = explainRequest({ details, now, holder, timings: timingsFrom(variables) });
  app.print.result({ requestId, state: details.state, lastState: details.lastState, sentences }, () =>
    sentences.join('\n'),
  );
}

/** The sentences: what it is, why it is there, what comes next. */
export function explainRequest(situation: Situation): string[] {
  const { details } = situation;
  const what = `Request ${details.requestId} of ${details.user} for ${details.image} on ${details.computer || 'no computer'}`;
  const place = details.host === null ? '' : ` (host ${details.host})`;
  return [`${what}${place} is ${stateWords(details)}.`, ...whyHere(situation), ...whatNext(situation)];
}

function stateWords({ state, lastState, status }: ReservationDetails): string {
  const words = state === 'pending' ? `in hand, taken up as '${lastState}'` : `'${state}', before that '${lastState}'`;
  return `${words}; its user sees '${status}'`;
}

function whyHere({ details, holder }: Situation): string[] {
  const { timeline, state } = details;
  const sentences: string[] = [];
  const failure = state === 'failed' || state === 'maintenance' ? lastFailure(timeline) : undefined;
  if (failure) {
    const whom = failure.blame === null ? '' : `; the ${failure.blame} is to blame`;
    sentences.push(
      `At ${failure.time} the step '${failure.step}' failed with ${failure.errorCode}${whom}: ${failure.text}`,
    );
    if (failure.hint !== null) sentences.push(`What to do: ${failure.hint}.`);
  }
  const last = timeline.findLast(({ id }) => id > 0);
  if (last && !failure) {
    const words: Record<string, string> = {
      begun: 'began',
      ended: 'ended',
      failed: 'failed',
      skipped: 'was already done',
    };
    sentences.push(`The last that was heard of it: '${last.step}' ${words[last.kind] ?? last.kind} at ${last.time}.`);
  }
  if (holder === null && isInOurHands(details)) {
    sentences.push('No daemon works for this management node now: start one with provisiond run.');
  }
  return sentences;
}

const isInOurHands = ({ state }: ReservationDetails) => state === 'pending' || isWorkable(state);

function whatNext(situation: Situation): string[] {
  const { details, now, timings } = situation;
  const { state, lastState } = details;
  const toStart = secondsBetween(now, details.start);
  const toEnd = secondsBetween(now, details.end);
  switch (state) {
    case 'pending':
      return nextInHand(situation);
    case 'new':
    case 'reload':
    case 'imageprep':
    case 'tovmhostinuse':
      return [toStart > 0 ? `It begins in ${span(toStart)}; 25 to 35 minutes before, it is loaded ahead.` : TAKEN_UP];
    case 'inuse':
    case 'imageinuse': {
      const looked = `The machine is looked at every ${span(timings.general_inuse_check)}`;
      const end = Math.max(0, toEnd - END_LOOKAHEAD_SECONDS);
      return [`${looked}, and without a pause from ${span(end)} from now on, for it ends at ${details.end}.`];
    }
    case 'failed':
      return [
        toEnd > 0
          ? `It is shown to its user until ${details.end}, then its rows are deleted. Another try: provisiond recover ${details.requestId} --retry`
          : 'Its rows are deleted with the next look at the inbox.',
      ];
    case 'complete':
      return [
        lastState === 'deleted'
          ? 'It is over; its rows are deleted.'
          : `It is over; its rows stay until ${details.end}.`,
      ];
    case 'maintenance':
      return [`It waits for an administrator: provisiond recover ${details.requestId} says what can be done.`];
    default:
      return [TAKEN_UP];
  }
}

const TAKEN_UP = 'It is due: the next look at the inbox takes it up, in less than a second.';

/** The steps that are still to come, and for whom it waits. */
function nextInHand({ details, timings }: Situation): string[] {
  const { lastState, timeline, acknowledged } = details;
  if (!isWorkable(lastState)) return [];
  const names = STATE_HANDLERS[lastState].steps.map(({ name }) => name);
  const told = timeline.filter((entry) => entry.id > 0 && entry.state === lastState);
  const at = Math.max(-1, ...told.map(({ step }) => names.indexOf(step)));
  const ended = told.findLast(({ step }) => step === names[at])?.kind !== 'begun';
  const coming = names.slice(ended ? at + 1 : at);
  const waits =
    lastState === 'reserved'
      ? [
          acknowledged
            ? `It waits for its user to log in, ${span(timings.initialconnecttimeout)} at most; then it times out.`
            : `It waits for its user to press Connect, ${span(timings.acknowledgetimeout)} at most; then it times out.`,
        ]
      : [];
  return [...waits, ...(coming.length > 0 ? [`Still to come: ${coming.join(', ')}.`] : ['All its steps are done.'])];
}

function secondsBetween(from: string, to: string): number {
  const milliseconds = Date.parse(`${to.replace(' ', 'T')}Z`) - Date.parse(`${from.replace(' ', 'T')}Z`);
  return Number.isNaN(milliseconds) ? 0 : milliseconds / 1000;
}

/** `90` → `1 min 30 s` */
export function span(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return [`${Math.floor(whole / 60)} min`, ...(whole % 60 ? [`${whole % 60} s`] : [])].join(' ');
  if (whole < 172_800) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} days`;
}
