/**
 * The checksum of a copy, taken behind the load that made the copy.
 *
 * A base may be used before its checksum is known: decided so because taking it costs more than copying did, and because by then
 * the copy has its length, its tables were checked and its record says size and time of the last change. What the checksum can
 * still tell comes late: the base is marked, that is reported as an error, and no load after that uses it; those that stand on
 * it already go on, as they do on a base that changes later. A site that wants to know before the first use puts a
 * `<source>.sha256` beside the source, or sets `imageCheckAtUse: checksum`.
 *
 * When the daemon ends meanwhile, the record stays without a checksum, and the next use takes it, of a file that must be as
 * recorded.
 */
import { asProvisiondError, describeError, findError, type ProvisiondError } from '../errors';
import type { Log } from '../log';
import type { BaseFile } from '../model/base-file';
import { type BasePlace, type TrustOptions, admitBase, completeRecord, recordBase } from './base-record';
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
  /** With what was wrong. */
  readonly done: Promise<ProvisiondError | null>;
}

const underWay = new Set<Pending>();

/** Records a copy at once, and takes its checksum behind the caller if it is not known. @throws IMAGE_UNTRUSTED */
export async function recordCopy(place: BasePlace, copy: NewCopy, trust: TrustOptions): Promise<void> {
  const base = await recordBase(place, copy.file.path, copy);
  if (base.sha256 === null) await sumBehind(place, base, trust);
}

/** As {@link admitBase}, of a base that may just have been copied by this very process. @throws IMAGE_UNTRUSTED */
export async function admitCopied(place: BasePlace, seen: ImageFile, imageName: string, trust: TrustOptions) {
  const pending = [...underWay].filter(({ path }) => path === seen.path);
  if (trust.checkAtUse === 'stamp' && pending.some(({ hostId }) => hostId === place.hostId)) return;
  // Also for another host: on shared storage it has the same file, and need not read it again.
  await Promise.all(pending.map(({ done }) => done));
  const unread = await admitBase(place, seen, imageName, trust);
  if (unread) await sumBehind(place, unread, trust);
}

/** Waits until everything that was copied is recorded with its checksum. */
export async function copiesRecorded(): Promise<void> {
  await Promise.all([...underWay].map(({ done }) => done));
}

/** Returns at once, unless each use is to be held to the checksum. */
async function sumBehind(place: BasePlace, base: BaseFile, { checkAtUse, log }: TrustOptions): Promise<void> {
  const done = completeRecord(place, base).then(
    () => null,
    (thrown: unknown) => {
      report(log, base, thrown);
      return asProvisiondError(thrown, `taking the checksum of base image ${base.path}`);
    },
  );
  const pending = { hostId: place.hostId, path: base.path, done };
  underWay.add(pending);
  void done.finally(() => underWay.delete(pending));
  const error = checkAtUse === 'checksum' ? await done : null;
  if (error) throw error;
}

function report(log: Log, { path, imageName }: BaseFile, thrown: unknown): void {
  if (findError(thrown, 'IMAGE_UNTRUSTED')) {
    log.error(`base image ${path} is not used for loads any more`, { imageName, error: thrown });
  } else {
    log.warn(`the checksum of base image ${path} is taken at its next use: ${describeError(thrown)}`);
  }
}
