/**
 * The record of a copy, made behind the load that made it. Taking a checksum costs more than copying did, and nothing waits
 * for it: what the copy is, is known, and only later uses are held to the sum. When the daemon ends meanwhile, the base has
 * no record, and the next load makes it.
 */
import { describeError } from '../errors';
import type { Log } from '../log';
import { type BasePlace, type TrustOptions, admitBase, recordBase } from './base-record';
import type { ImageFile } from './image-sight';

export interface NewCopy {
  readonly imageName: string;
  readonly source: string;
  readonly file: ImageFile;
  /** Null: to be read. */
  readonly sha256: string | null;
}

interface Pending {
  readonly hostId: number;
  readonly path: string;
  readonly done: Promise<void>;
}

const underWay = new Set<Pending>();

/** Records a copy at once when its sum is known, else behind the caller. */
export async function recordCopy(place: BasePlace, copy: NewCopy, log: Log): Promise<void> {
  const { sha256, file, imageName, source } = copy;
  if (sha256 !== null) return void (await recordBase(place, file.path, { imageName, source, sha256, file }));
  const done = recordBase(place, file.path, { imageName, source, file }).then(
    () => {},
    (error) => log.warn(`base image ${file.path} is recorded at its next use: ${describeError(error)}`),
  );
  const pending = { hostId: place.hostId, path: file.path, done };
  underWay.add(pending);
  void done.finally(() => underWay.delete(pending));
}

/** As {@link admitBase}, of a base that may just have been copied by this very process. @throws IMAGE_UNTRUSTED */
export async function admitCopied(place: BasePlace, seen: ImageFile, imageName: string, trust: TrustOptions) {
  const pending = [...underWay].filter(({ path }) => path === seen.path);
  if (trust.checkAtUse === 'stamp' && pending.some(({ hostId }) => hostId === place.hostId)) return;
  // Also for another host: on shared storage it has the same file, and need not read it again.
  await Promise.all(pending.map(({ done }) => done));
  await admitBase(place, seen, imageName, trust);
}

/** Waits until everything that was copied is recorded. */
export async function copiesRecorded(): Promise<void> {
  await Promise.all([...underWay].map(({ done }) => done));
}
