/** One thing that every plugin must do, as a sentence, and how it is found out. */

export interface Check<S> {
  readonly sentence: string;
  /** Does nothing when the subject holds; throws {@link Objection} with what a reviewer would say. */
  readonly run: (subject: S) => Promise<void> | void;
}

/** What a reviewer would say. */
export class Objection extends Error {}

/** Could not be found out here, through no fault of the plugin: a tool is missing. */
export class NotTried extends Error {}

export interface Finding {
  readonly sentence: string;
  readonly verdict: 'passed' | 'failed' | 'not tried';
  /** Why, unless it passed. */
  readonly remark: string | null;
}

/** Runs the checks one after another; one that fails does not keep the others from being run. */
export async function examine<S>(checks: readonly Check<S>[], subject: S): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { sentence, run } of checks) {
    try {
      await run(subject);
      findings.push({ sentence, verdict: 'passed', remark: null });
    } catch (error) {
      const verdict = error instanceof NotTried ? 'not tried' : 'failed';
      findings.push({ sentence, verdict, remark: remarkOf(error) });
    }
  }
  return findings;
}

function remarkOf(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null || !('message' in thrown)) return String(thrown);
  const cause = 'cause' in thrown && thrown.cause !== undefined ? `: ${remarkOf(thrown.cause)}` : '';
  return `${String(thrown.message)}${cause}`;
}

export function object(condition: boolean, remark: string): void {
  if (!condition) throw new Objection(remark);
}

/** Whether two values have the same content. */
export function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
