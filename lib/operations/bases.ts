/**
 * `provisiond image list`, `check` and `gc`: the image files of all hosts, what stands on them, whether they are what they were
 * recorded as, and which nobody needs any more.
 */
import path from 'node:path';
import { asProvisiondError, describeError, type ProvisiondError } from '../errors';
import type { Host } from '../host/host';
import { type ImagePlaces, type Removal, removeBase, type SurveyedImage, surveyImages } from '../images/base-survey';
import { readSum, recordBase } from '../images/base-record';
import { checkImageHeader } from '../images/image-header';
import { buildTree, imageNameOf, type ImageTree, neededNames } from '../images/image-tree';
import type { BaseRecords, ImageUse, KnownBaseFile } from '../model/base-file';
import { imageLock } from '../model/names';

export interface ImageHost {
  readonly host: Host;
  readonly hostId: number;
  readonly places: ImagePlaces;
}

export interface BaseParts {
  readonly hosts: readonly ImageHost[];
  readonly records: BaseRecords;
  readonly readUses: () => Promise<readonly ImageUse[]>;
  /** For reading whole files. */
  readonly timeoutMs: number;
}

export interface HostImages extends ImageHost {
  readonly files: readonly SurveyedImage[];
  readonly tree: ImageTree;
  /** Set when the host could not be looked at: nothing is known of it then. */
  readonly error: ProvisiondError | null;
}

/** What is on all hosts, each by itself: one that does not answer keeps nobody from seeing the others. */
export async function surveyAll({ hosts, timeoutMs }: BaseParts): Promise<HostImages[]> {
  return Promise.all(
    hosts.map(async (one) => {
      try {
        const files = await surveyImages(one.host, one.places, timeoutMs);
        return { ...one, files, tree: buildTree(files), error: null };
      } catch (thrown) {
        const error = asProvisiondError(thrown, `looking at the images of host ${one.host.name}`);
        return { ...one, files: [], tree: buildTree([]), error };
      }
    }),
  );
}

/** Whether a file lies where base images lie and is no unfinished one; the folder of the disks may lie in the datastore. */
export function isBase({ datastorePath, vmPath }: ImagePlaces, file: SurveyedImage): boolean {
  if (file.backing !== null || file.path.endsWith('.part') || !isWithin(file.path, datastorePath)) return false;
  return !isWithin(file.path, vmPath) || isWithin(datastorePath, vmPath);
}

function isWithin(inner: string, outer: string): boolean {
  return `${path.posix.resolve(inner)}/`.startsWith(`${path.posix.resolve(outer)}/`);
}

// ---------------------------------------------------------------------------------------------------------- check

export interface BaseVerdict {
  readonly host: string;
  readonly path: string;
  readonly imageName: string;
  /** `accepted`: it was not what was recorded, and is recorded as it is now. */
  readonly verdict: 'ok' | 'recorded' | 'accepted' | 'changed' | 'missing' | 'writable' | 'untrusted' | 'unknown';
  readonly why: string;
}

/**
 * Reads every base file and holds it to its record; those without a record get one.
 * @param only an image's file name; null: all
 * @param accept records those that changed as they are now
 */
export async function checkBases(parts: BaseParts, only: string | null, accept: boolean): Promise<BaseVerdict[]> {
  const [surveys, known, uses] = await Promise.all([surveyAll(parts), parts.records.listBaseFiles(), parts.readUses()]);
  const verdicts = await Promise.all(
    surveys.map(async (survey) => {
      const mine = known.filter(({ hostId }) => hostId === survey.hostId);
      // What neither we nor the rows know is somebody else's: it is not even made read-only.
      const isOurs = (file: SurveyedImage) =>
        mine.some((one) => one.path === file.path) || useOf(file, uses) !== undefined;
      const files = survey.files.filter((file) => isBase(survey.places, file) && isOurs(file));
      return checkHost(parts, { ...survey, files }, mine, only, accept);
    }),
  );
  return verdicts.flat();
}

function isWanted(imageName: string, only: string | null): boolean {
  return only === null || imageName.toLowerCase() === only.toLowerCase();
}

async function checkHost(
  parts: BaseParts,
  survey: HostImages,
  known: readonly KnownBaseFile[],
  only: string | null,
  accept: boolean,
): Promise<BaseVerdict[]> {
  const host = survey.host.name;
  if (survey.error) {
    return [{ host, path: '-', imageName: '-', verdict: 'unknown', why: describeError(survey.error) }];
  }
  const present = survey.files.filter((file) => isWanted(imageNameOf(file.path), only));
  const missing = known.filter(
    (base) => isWanted(base.imageName, only) && !present.some(({ path: file }) => file === base.path),
  );
  const verdicts: BaseVerdict[] = missing.map(({ path: file, imageName, source }) => {
    return { host, path: file, imageName, verdict: 'missing', why: `it was ${source}` };
  });
  if (accept) for (const file of missing) await parts.records.forgetBaseFile(file);
  // One after another: reading is the disk's work, and the disk is needed for guests.
  for (const file of present) {
    const record = known.find((one) => one.path === file.path) ?? null;
    const imageName = record?.imageName ?? imageNameOf(file.path);
    const place = { ...survey, records: parts.records, timeoutMs: parts.timeoutMs };
    const found = await checkFile(place, file, imageName, record, accept).catch((thrown: unknown) => {
      return { verdict: 'unknown' as const, why: describeError(thrown) };
    });
    verdicts.push({ host, path: file.path, imageName, ...found });
  }
  return verdicts;
}

type Found = Pick<BaseVerdict, 'verdict' | 'why'>;

async function checkFile(
  place: ImageHost & Pick<BaseParts, 'records' | 'timeoutMs'>,
  file: SurveyedImage,
  imageName: string,
  record: KnownBaseFile | null,
  accept: boolean,
): Promise<Found> {
  try {
    checkImageHeader(file.path, file.header, file.sizeBytes);
  } catch (error) {
    return { verdict: 'untrusted', why: describeError(error) };
  }
  if (record === null) {
    await recordBase(place, file.path, { imageName, source: 'found on the host' });
    return { verdict: 'recorded', why: 'it was there, and is recorded as it is' };
  }
  const sha256 = await readSum(place, file.path);
  if (record.sha256 === null && record.damage === null && isAsRecorded(file, record)) {
    await recordBase(place, file.path, { imageName, source: record.source, sha256 });
    return { verdict: 'recorded', why: 'its checksum was not known yet' };
  }
  const damage = sha256 === record.sha256 ? null : `its checksum was ${record.sha256 ?? 'not known'} and is ${sha256}`;
  if (damage !== null && accept) {
    await recordBase(place, file.path, { imageName, source: `accepted after a change; ${record.source}`, sha256 });
    return { verdict: 'accepted', why: damage };
  }
  await place.records.noteBaseCheck(record, damage);
  if (damage !== null) return { verdict: 'changed', why: damage };
  if ((file.mode & 0o222) !== 0) return { verdict: 'writable', why: `its mode is 0${file.mode.toString(8)}` };
  return { verdict: 'ok', why: `as recorded at ${record.recorded}` };
}

function isAsRecorded(file: SurveyedImage, record: KnownBaseFile): boolean {
  return file.sizeBytes === record.sizeBytes && file.modified === record.modified;
}

// ------------------------------------------------------------------------------------------------------------- gc

export interface Garbage {
  readonly host: string;
  readonly path: string;
  readonly allocatedKiB: number;
  /** `removed`, or why it was left after all; `found`: nobody was to remove anything. */
  readonly outcome: Removal | 'found';
  readonly why: string;
}

export interface GarbageReport {
  readonly garbage: readonly Garbage[];
  /** Base files that look unneeded but are not, and why. */
  readonly kept: readonly { readonly host: string; readonly path: string; readonly why: string }[];
  /** Hosts that did not answer: then nothing is removed anywhere, for what stands on a base may be there. */
  readonly silent: readonly { readonly host: string; readonly error: ProvisiondError }[];
}

/** A copy that nobody has written to for so long is dead. */
const PART_SECONDS = 3600;

/**
 * Removes base images whose revision is deleted and which nobody needs: no overlay on any host (a trash below the folder of the
 * disks included), no request, no computer. Files that the rows do not know are never touched.
 */
export async function collectGarbage(parts: BaseParts, dryRun: boolean): Promise<GarbageReport> {
  const surveys = await surveyAll(parts);
  const silent = surveys.flatMap(({ host, error }) => (error ? [{ host: host.name, error }] : []));
  // Rows after hosts: what was begun since the look began is needed.
  const uses = await parts.readUses();
  const needed = neededNames(surveys.flatMap(({ files }) => files));
  const report = { garbage: [] as Garbage[], kept: [] as GarbageReport['kept'][number][], silent };
  for (const survey of surveys) {
    for (const file of survey.files.filter((one) => isBase(survey.places, one) || isDeadPart(survey.places, one))) {
      const why = judge(file, uses, needed);
      if (why === null) continue;
      const { path: name, allocatedKiB } = file;
      const host = survey.host.name;
      if (why.keep) {
        report.kept.push({ host, path: name, why: why.says });
        continue;
      }
      const mayRemove = !dryRun && silent.length === 0 && isStillUnneeded(file, await parts.readUses());
      const outcome = mayRemove ? await remove(parts, survey, file) : 'found';
      report.garbage.push({ host, path: name, allocatedKiB, why: why.says, outcome });
    }
  }
  return report;
}

function isDeadPart({ datastorePath }: ImagePlaces, file: SurveyedImage): boolean {
  const age = Date.now() / 1000 - file.modified;
  return file.path.endsWith('.part') && file.path.startsWith(`${datastorePath}/`) && age > PART_SECONDS;
}

/** @returns null: it is an image of the site, or nobody knows it; either way it stays without a word */
function judge(file: SurveyedImage, uses: readonly ImageUse[], needed: ReadonlySet<string>) {
  if (file.path.endsWith('.part')) return { keep: false, says: 'a copy that broke off' };
  const use = useOf(file, uses);
  if (!use?.deleted) return null;
  if (needed.has(path.posix.basename(file.path))) return { keep: true, says: 'an overlay stands on it' };
  if (use.requests > 0) return { keep: true, says: 'a request that is not over names it' };
  if (use.computers > 0) return { keep: true, says: 'a computer is loaded with it' };
  if (use.operations > 0) return { keep: true, says: 'an operation that is not over names it' };
  if (use.instances > 0) return { keep: true, says: 'it is the master of instances' };
  return { keep: false, says: `image ${use.prettyName} is deleted` };
}

function useOf(file: SurveyedImage, uses: readonly ImageUse[]): ImageUse | undefined {
  const name = imageNameOf(file.path).toLowerCase();
  return uses.find(({ imageName }) => imageName.toLowerCase() === name);
}

function isStillUnneeded(file: SurveyedImage, uses: readonly ImageUse[]): boolean {
  const judged = judge(file, uses, new Set());
  return judged !== null && !judged.keep;
}

async function remove(parts: BaseParts, { host, hostId, places }: HostImages, file: SurveyedImage): Promise<Removal> {
  const lock = imageLock(places, imageNameOf(file.path));
  const outcome = await removeBase(host, places, file, lock);
  if (outcome === 'removed') await parts.records.forgetBaseFile({ hostId, path: file.path });
  return outcome;
}
