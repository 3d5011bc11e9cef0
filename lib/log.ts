/**
 * The logging port, and winston behind it.
 *
 * winston's own formats lose causes, leak nested secrets and join an error's message to that of the line, so it is
 * given finished text: lib/redaction.ts takes the secrets out, lib/log-line.ts makes the line.
 */
import winston from 'winston';
import type { Config } from './config/config';
import { isError } from './errors';
import { type Level, renderHuman, renderJson } from './log-line';
import { Redaction } from './redaction';

/** The logging port; winston stands behind it in `createLogger` and nowhere else. */
export interface Log {
  debug(message: string, details?: object): void;
  info(message: string, details?: object): void;
  warn(message: string, details?: object): void;
  error(message: string, details?: object): void;
  /** A logger whose lines all carry these fields, for example `{ request: 12, reservation: 12 }`. */
  child(fields: Readonly<Record<string, unknown>>): Log;
}

/** The logger that all others are children of. */
export interface RootLog extends Log {
  /**
   * Level, format and file from now on; a file is opened anew, so that one which was moved away is let go of.
   */
  configure(config: Config['log']): void;
  /** Lets through more or less of the lines about a request than of others. @param level null: as of all others */
  setLevelOf(requestId: number, level: Level | null): void;
  /** Blackens a value in every later line of this logger and all its children: for passwords made at run time. */
  addSecret(value: string): void;
  /** Writes out what is still on its way. Nothing may be logged afterwards. */
  close(): Promise<void>;
}

type Fields = Readonly<Record<string, unknown>>;

/** What to write to instead of the standard error output; for tests. */
export interface LogOptions {
  readonly stream?: NodeJS.WritableStream;
}

/** @param config where to, from which level on, and for whom */
export function createLogger(config: Config['log'], options: LogOptions = {}): RootLog {
  const redaction = new Redaction();
  const levelsOf = new Map<unknown, Level>();
  let present = config;
  let transport = createTransport(config.file, options.stream);
  const winstonLogger = winston.createLogger({
    level: 'debug', // what is let through is decided below, line by line
    levels: SEVERITIES,
    format: winston.format.printf(({ message }) => String(message)),
    transports: [transport],
  });
  // A full disk must not stop the daemon; what cannot be logged is told to whoever looks at the terminal.
  winstonLogger.on('error', (error) => process.stderr.write(`cannot write the log: ${String(error)}\n`));

  const write = (level: Level, fields: Fields, message: string, details: object = {}) => {
    if (SEVERITIES[level] > SEVERITIES[levelsOf.get(fields['request']) ?? present.level]) return;
    const line = {
      time: new Date(),
      level,
      message: redaction.text(message),
      fields: redaction.data(fields) as Fields,
      details: redaction.data(isError(details) ? { error: details } : details) as Fields,
    };
    const text = present.format === 'json' ? renderJson(line) : renderHuman(line);
    const marked = present.file === null && present.format === 'human' && isJournal();
    winstonLogger.log({ level, message: marked ? markForJournal(text, level) : text });
  };
  return {
    ...logWith({}, write),
    addSecret: (value) => redaction.addSecret(value),
    configure: (next) => {
      present = next;
      const before = transport;
      transport = createTransport(next.file, options.stream);
      winstonLogger.add(transport);
      winstonLogger.remove(before);
    },
    setLevelOf: (requestId, level) => {
      if (level === null) levelsOf.delete(requestId);
      else levelsOf.set(requestId, level);
    },
    close: () => closeLogger(winstonLogger, transport),
  };
}

const SEVERITIES: Record<Level, number> = { error: 0, warn: 1, info: 2, debug: 3 };

function logWith(
  fields: Fields,
  write: (level: Level, fields: Fields, message: string, details?: object) => void,
): Log {
  return {
    debug: (message, details) => write('debug', fields, message, details),
    info: (message, details) => write('info', fields, message, details),
    warn: (message, details) => write('warn', fields, message, details),
    error: (message, details) => write('error', fields, message, details),
    child: (more) => logWith({ ...fields, ...more }, write),
  };
}

function createTransport(file: string | null, stream: NodeJS.WritableStream = process.stderr) {
  if (file === null) return new winston.transports.Stream({ stream });
  return new winston.transports.File({ filename: file, options: { flags: 'a', mode: 0o640 } });
}

async function closeLogger(logger: winston.Logger, transport: winston.transport): Promise<void> {
  const written = new Promise((resolve) => transport.once('finish', resolve));
  logger.end();
  await written;
}

/** systemd says so when it reads our standard error output. */
function isJournal(): boolean {
  return process.env['JOURNAL_STREAM'] !== undefined && !process.stderr.isTTY;
}

const JOURNAL_PRIORITIES: Record<Level, number> = { error: 3, warn: 4, info: 6, debug: 7 };

function markForJournal(text: string, level: Level): string {
  return text.replace(/^/gm, `<${JOURNAL_PRIORITIES[level]}>`);
}
