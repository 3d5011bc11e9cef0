/** The logging port; winston stands behind it in `createLogger` and nowhere else. */
export interface Log {
  debug(message: string, details?: object): void;
  info(message: string, details?: object): void;
  warn(message: string, details?: object): void;
  error(message: string, details?: object): void;
  /** A logger whose lines all carry these fields, for example `{ request: 12, reservation: 12 }`. */
  child(fields: Readonly<Record<string, unknown>>): Log;
}
