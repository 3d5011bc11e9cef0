/** What a verb says: text for people, or one JSON document for programs. */
import { type ProvisiondError, describeError } from '../errors';
import { Redaction } from '../redaction';
import { type Cell, type Paint, painter, renderTable, wantsColour } from './terminal';

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface Streams {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
}

export type Rows = readonly (readonly (string | number | null | Cell)[])[];

export class Printer {
  readonly paint: Paint;
  /** Whether a line may be written over: a terminal, and no JSON. */
  readonly isLive: boolean;
  /** Takes secrets out of errors: a cause may quote what it was given. */
  readonly redaction = new Redaction();
  private liveShown = false;

  constructor(
    private readonly streams: Streams,
    readonly json: boolean,
  ) {
    const isTerminal = streams.stdout.isTTY === true;
    this.paint = painter(!json && wantsColour(isTerminal, streams.env));
    this.isLive = !json && isTerminal && streams.env['TERM'] !== 'dumb';
  }

  /**
   * The result of a verb, once.
   * @param document for `--json`
   * @param text for people
   */
  result(document: unknown, text: () => string): void {
    this.clearLive();
    this.streams.stdout.write(`${this.json ? JSON.stringify(document, null, 2) : text()}\n`);
  }

  /** A line on the way to the result, for people only. */
  line(text: string): void {
    if (this.json) return;
    this.clearLive();
    this.streams.stdout.write(`${text}\n`);
  }

  /** A line that the next one takes the place of; nothing where lines cannot be written over. */
  live(text: string): void {
    if (!this.isLive) return;
    const width = (this.streams.stdout.columns ?? 80) - 1;
    this.streams.stdout.write(`\r\u001b[2K${[...text].slice(0, width).join('')}`);
    this.liveShown = true;
  }

  table(headings: readonly string[], rows: Rows): string {
    return renderTable(headings, rows, this.paint);
  }

  /** An error: its chain of messages and the remedy; with `--json` on the standard output, as the one document. */
  error(error: ProvisiondError): void {
    this.clearLive();
    const message = this.redaction.text(describeError(error));
    const hint = this.redaction.text(error.hint);
    if (this.json) {
      const document = { error: { code: error.code, message, hint, blame: error.blame } };
      this.streams.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
      return;
    }
    const paint = painter(wantsColour(this.streams.stderr.isTTY === true, this.streams.env));
    this.streams.stderr.write(`${paint('red', 'error:')} ${message}\n  ${paint('cyan', 'hint:')} ${hint}\n`);
  }

  private clearLive(): void {
    if (this.liveShown) this.streams.stdout.write('\r\u001b[2K');
    this.liveShown = false;
  }
}
