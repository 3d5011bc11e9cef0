/**
 * Where a base image that provisiond made gets known: called once its file has its name on a host, before users can
 * reserve it. May be called again for the same file.
 */
import type { Log } from '../log';

export interface NewBase {
  readonly hostComputerId: number;
  readonly hostName: string;
  readonly imageName: string;
  readonly imageRevisionId: number;
  readonly file: string;
  readonly format: string;
  readonly sizeBytes: number;
  readonly virtualSizeBytes: number;
  /** What it was made from: `capture of request 12` */
  readonly source: string;
}

export function recordNewBase(log: Log, base: NewBase): Promise<void> {
  log.info(`${base.file} is a base image now`, { ...base });
  return Promise.resolve();
}
