/** What `provisiond check` found, and the way it asks: a question that fails is a finding, not the end. */
import { ProvisiondError, asProvisiondError, describeError } from '../errors';

export interface Finding {
  /** `configuration`, `database`, `host kvm1` … */
  readonly subject: string;
  readonly check: string;
  /** `unknown`: it could not be looked at; what cannot be seen is never called ok. */
  readonly verdict: 'ok' | 'unknown' | 'warning' | 'problem';
  readonly text: string;
  /** What to do; null where nothing is to be done. */
  readonly remedy: string | null;
}

/** Collects findings on one subject. */
export class Findings {
  readonly all: Finding[] = [];

  constructor(private readonly subject: string) {}

  ok(check: string, text: string): void {
    this.add(check, 'ok', text, null);
  }

  /** @param remedy how to look at it by other means */
  unknown(check: string, text: string, remedy: string): void {
    this.add(check, 'unknown', text, remedy);
  }

  warning(check: string, text: string, remedy: string): void {
    this.add(check, 'warning', text, remedy);
  }

  problem(check: string, text: string, remedy: string): void {
    this.add(check, 'problem', text, remedy);
  }

  /**
   * Asks one question.
   * @param ask returns the good answer, or makes its own findings and returns nothing
   * @returns whether it could be asked
   */
  async examine(check: string, ask: () => Promise<string | void> | string | void): Promise<boolean> {
    try {
      const text = await ask();
      if (text !== undefined) this.ok(check, text);
      return true;
    } catch (thrown) {
      const error = asProvisiondError(thrown, check);
      this.problem(check, describeError(error), rootHint(error));
      return false;
    }
  }

  private add(check: string, verdict: Finding['verdict'], text: string, remedy: string | null): void {
    this.all.push({ subject: this.subject, check, verdict, text, remedy });
  }
}

/** A defect has no better hint than what it wraps. */
function rootHint(error: ProvisiondError): string {
  return error.code === 'INTERNAL' && error.cause instanceof ProvisiondError ? error.cause.hint : error.hint;
}
