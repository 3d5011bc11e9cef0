/**
 * Trust in base files: what a base was when it came is written down, and held against what it is when it is used.
 * Who makes a base file (a copy from the repository, a capture, `image add`) calls {@link recordBase} once it has its name.
 */
import { ProvisiondError } from '../errors';
import { type Host, script } from '../host/host';
import type { Log } from '../log';
import type { BaseFile, BaseRecords, KnownBaseFile } from '../model/base-file';
import { checkImageHeader } from './image-header';
import { IMAGE_FILES, type ImageFile, parseImageFiles } from './image-sight';
import { PROTECT, SUM_OF } from './qemu-img';
import { oneAfterAnother } from './turns';

/** A host whose base files are recorded. */
export interface BasePlace {
  readonly host: Host;
  /** `computer.id` of the host. */
  readonly hostId: number;
  readonly records: BaseRecords;
  /** For reading a whole file. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** `$1` file `$2` anything: take its checksum `$3` `must` or `try`: protect it `$4` anything: nobody waits for it. Says what it is. */
const STAMP = `
set -eu
${IMAGE_FILES}${SUM_OF}${PROTECT}
[ -f "$1" ] || { echo "there is no file $1" >&2; exit 1; }
[ -z "$4" ] || { renice -n 10 $$; ionice -c 3 -p $$; } >/dev/null 2>&1 || :
[ -z "$3" ] || protect "$1" || [ "$3" = try ]
[ -z "$2" ] || echo "@@sum $(sum_of "$1")"
image_line "$1"
`;

export interface NewBase {
  readonly imageName: string;
  readonly source: string;
  /** Left out: the file is read for it. Null: that comes later ({@link completeRecord}). */
  readonly sha256?: string | null;
  /** As it was when it was made. */
  readonly file?: ImageFile;
}

/**
 * Makes a file in a datastore a base image that loads may use: read-only, and recorded with what it is.
 * @throws IMAGE_UNTRUSTED when it is not what its name says; COMMAND_FAILED when it is not there or cannot be protected
 */
export async function recordBase(
  place: BasePlace,
  path: string,
  { imageName, source, sha256, file: made }: NewBase,
): Promise<BaseFile> {
  const stamp =
    made && sha256 !== undefined
      ? { file: made, sha256 }
      : await stampOf(place, path, { sum: sha256 === undefined, protect: 'must' });
  const { sizeBytes, modified, header } = stamp.file;
  const { format, virtualSizeBytes } = checkImageHeader(path, header, sizeBytes);
  const base = { hostId: place.hostId, path, imageName, source, format, virtualSizeBytes, sizeBytes, modified };
  const recorded = { ...base, sha256: sha256 === undefined ? stamp.sha256 : sha256 };
  await place.records.recordBaseFile(recorded);
  return recorded;
}

/**
 * Reads the checksum that a record lacks. It must be that of every other plain copy of the same source, and the file must be
 * what it was when it was recorded.
 * @throws IMAGE_UNTRUSTED: no load uses the base from then on
 */
export async function completeRecord(place: BasePlace, base: BaseFile): Promise<void> {
  const { file, sha256 } = await stampOf(place, base.path, { sum: true, behind: true });
  const recorded = { ...base, sha256 };
  await place.records.recordBaseFile(recorded);
  const isAsCopied = file.sizeBytes === base.sizeBytes && file.modified === base.modified;
  const twin = (await place.records.findBaseFiles(base.imageName)).find((other) => mustBeAlike(base, other));
  let damage: string | null = null;
  if (!isAsCopied) damage = CHANGED_UNREAD;
  else if (twin && twin.sha256 !== sha256) {
    damage = `its checksum is ${sha256}, and that of the copy of the same source at ${twin.path} on another host is ${twin.sha256}`;
  }
  if (damage === null) return;
  await place.records.noteBaseCheck(recorded, damage);
  throw changed(place.host, { path: base.path, recorded: 'just now' }, damage);
}

const CHANGED_UNREAD = 'it changed before its checksum was known';

/** Plain copies of one file, the revision of an image: what is there under that name never changes. */
function mustBeAlike(base: BaseFile, other: KnownBaseFile): boolean {
  return (
    other.hostId !== base.hostId &&
    other.source === base.source &&
    base.source.startsWith(COPIED_FROM) &&
    other.sha256 !== null &&
    other.damage === null
  );
}

/** How the source of a base begins that is byte by byte what it was copied from. */
export const COPIED_FROM = 'copied from ';

/** The checksum of a file as it is now. */
export async function readSum(place: BasePlace, path: string): Promise<string> {
  return (await stampOf(place, path, { sum: true })).sha256!;
}

async function stampOf(
  { host, timeoutMs, signal }: BasePlace,
  path: string,
  wanted: { readonly sum: boolean; readonly protect?: 'must' | 'try'; readonly behind?: boolean },
): Promise<{ file: ImageFile; sha256: string | null }> {
  const argv = script(STAMP, path, wanted.sum ? 'sum' : '', wanted.protect ?? '', wanted.behind ? 'behind' : '');
  const { stdout } = await host.run(argv, { timeoutMs, signal });
  const lines = stdout.split('\n');
  const [file] = parseImageFiles(lines);
  const sha256 = /^@@sum ([0-9a-f]{64})$/m.exec(stdout)?.[1] ?? null;
  if (!file || (wanted.sum && sha256 === null)) {
    throw new ProvisiondError('COMMAND_FAILED', `looking at image ${path} on host ${host.name}: ${stdout.trim()}`);
  }
  return { file, sha256 };
}

export interface TrustOptions {
  /** `stamp`: size and time of the last change tell; `checksum`: the whole file is read at each use. */
  readonly checkAtUse: 'stamp' | 'checksum';
  readonly log: Log;
}

/**
 * Holds a base that is about to be used to its record. One that was never recorded is taken as it is, once.
 * @returns its record, if that still lacks the checksum: somebody began to read it and did not end
 * @throws IMAGE_UNTRUSTED when it changed
 */
export async function admitBase(
  place: BasePlace,
  seen: ImageFile,
  imageName: string,
  options: TrustOptions,
): Promise<BaseFile | null> {
  const { host, hostId, records } = place;
  const ask = async () => {
    const known = await records.findBaseFiles(imageName);
    return { known, mine: known.find((file) => file.hostId === hostId && file.path === seen.path) };
  };
  const { mine } = await ask();
  if (!mine) {
    await oneAfterAnother(`record ${host.name} ${seen.path}`, async () => {
      const again = await ask();
      if (!again.mine) await adopt(place, seen, imageName, again.known);
    });
    return null;
  }
  await compare(place, seen, mine, options);
  return mine.sha256 === null ? mine : null;
}

/** On shared storage another host has the same file, and its checksum is known. */
async function adopt(place: BasePlace, seen: ImageFile, imageName: string, known: readonly KnownBaseFile[]) {
  const twin = known.find(
    ({ path, sizeBytes, modified, damage, sha256 }) =>
      path === seen.path &&
      sizeBytes === seen.sizeBytes &&
      modified === seen.modified &&
      damage === null &&
      sha256 !== null,
  );
  const { file, sha256 } = await stampOf(place, seen.path, { sum: twin === undefined, protect: 'try' });
  const { format, virtualSizeBytes } = checkImageHeader(seen.path, file.header, file.sizeBytes);
  await place.records.recordBaseFile({
    hostId: place.hostId,
    path: seen.path,
    imageName,
    format,
    virtualSizeBytes,
    sizeBytes: file.sizeBytes,
    modified: file.modified,
    sha256: twin?.sha256 ?? sha256,
    source: twin?.source ?? 'found on the host',
  });
}

async function compare(place: BasePlace, seen: ImageFile, known: KnownBaseFile, { checkAtUse, log }: TrustOptions) {
  const { host, records } = place;
  if (known.damage !== null) throw changed(host, known, known.damage);
  if (seen.sizeBytes !== known.sizeBytes) {
    throw changed(host, known, `it had ${known.sizeBytes} bytes and has ${seen.sizeBytes}`);
  }
  const isTouched = seen.modified !== known.modified;
  if (isTouched && known.sha256 === null) {
    await records.noteBaseCheck(known, CHANGED_UNREAD);
    throw changed(host, known, CHANGED_UNREAD);
  }
  if (known.sha256 !== null && (isTouched || checkAtUse === 'checksum')) {
    const sha256 = await readSum(place, seen.path);
    if (sha256 !== known.sha256) {
      const damage = `its checksum was ${known.sha256} and is ${sha256}`;
      await records.noteBaseCheck(known, damage);
      throw changed(host, known, damage);
    }
    if (isTouched) await records.recordBaseFile({ ...known, modified: seen.modified });
  }
  if ((seen.mode & 0o222) !== 0) {
    log.warn(`base image ${seen.path} could be written to; it is made read-only`, { host: host.name });
    await stampOf(place, seen.path, { sum: false, protect: 'try' });
  }
}

function changed(
  host: Host,
  { path, recorded }: Pick<KnownBaseFile, 'path' | 'recorded'>,
  how: string,
): ProvisiondError {
  const message = `base image ${path} on host ${host.name} changed since it was recorded at ${recorded}: ${how}`;
  return new ProvisiondError('IMAGE_UNTRUSTED', message, {
    hint: 'Put the right file back; or, if the change was meant: provisiond image check --accept',
    details: { file: path },
  });
}
