/** What the daemon's JSON log tells of a request: its steps with their times. */
import { readFileSync } from 'node:fs';

export interface StepTime {
  readonly name: string;
  readonly milliseconds: number;
  /** Milliseconds since 1970. */
  readonly begin: number;
  readonly end: number;
}

/** Steps that were run to their end, in that order, of all states that the request went through. */
export function stepsOf(logFile: string, requestId: number): StepTime[] {
  return readFileSync(logFile, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { request?: number; milliseconds?: number; time: string; message: string })
    .filter(({ request, milliseconds }) => request === requestId && milliseconds !== undefined)
    .map(({ message, milliseconds, time }) => {
      const end = Date.parse(time);
      return { name: message, milliseconds: milliseconds!, begin: end - milliseconds!, end };
    });
}

/** @throws when the request did not come to that step */
export function stepNamed(steps: readonly StepTime[], name: string): StepTime {
  const found = steps.find((step) => step.name === name);
  if (!found) throw new Error(`no step '${name}' among ${steps.map((step) => step.name).join(', ')}`);
  return found;
}
