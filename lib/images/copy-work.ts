/** What the scripts of this folder say while they run and when they fail, in words. */
import { type ErrorCode, ProvisiondError } from '../errors';
import type { RunResult } from '../host/host';
import type { ImageHeader } from './image-header';
import type { ImageFile } from './image-sight';
import { EXIT, isDiskFull } from './qemu-img';

export interface Work {
  readonly doing: string;
  readonly folder: string;
  /** Left out: the script finds it out. */
  readonly neededKiB?: number;
  readonly failure: ErrorCode;
  /** Cuts off a long copy; what goes on over there only ever writes a file of this load's own. */
  readonly signal?: AbortSignal | undefined;
  readonly onStdout?: (chunk: string) => void;
  readonly stdin?: string;
}

const REASONS: Readonly<Record<number, readonly [code: ErrorCode, why: string, hint?: string]>> = {
  [EXIT.lockTimeout]: ['COMMAND_TIMEOUT', 'another copy did not come to its end'],
  [EXIT.damaged]: [
    'IMAGE_UNTRUSTED',
    'its tables are damaged, as qemu-img check says',
    'Bring the image to the repository once more, from where it was made',
  ],
  [EXIT.wrongSum]: [
    'IMAGE_UNTRUSTED',
    'the source has not the checksum that stands beside it',
    'Bring the image to the repository once more; or, if it was changed on purpose: sha256sum FILE > FILE.sha256',
  ],
  [EXIT.sourceGone]: [
    'IMAGE_COPY_FAILED',
    'the source is not there any more',
    'Look whether the repository is still mounted on the host, and who removed the file',
  ],
};

/** Why a script of this folder failed. */
export function explain(hostName: string, work: Work, result: RunResult): ProvisiondError {
  const where = `${work.doing} on host ${hostName}`;
  if (result.exitCode === EXIT.diskFull || isDiskFull(result.stderr)) {
    const freeKiB = lastNumber(result.stdout, 'free') ?? 0;
    const neededKiB = work.neededKiB ?? lastNumber(result.stdout, 'total') ?? 0;
    // Rounded apart, so that nobody reads that 64 MiB are not enough for 64 MiB.
    const [free, needed] = [Math.floor(freeKiB / 1024), Math.ceil(neededKiB / 1024)];
    const message = `${where}: folder ${work.folder} has ${free} MiB free and needs ${needed} MiB`;
    return new ProvisiondError('HOST_DISK_FULL', message, { details: { folder: work.folder, freeKiB, neededKiB } });
  }
  if (result.exitCode === EXIT.busy) {
    return new ProvisiondError('CONFLICT', `${where}: a guest has that disk open`, { blame: 'computer' });
  }
  const reason = REASONS[result.exitCode];
  if (reason) {
    const [code, why, hint] = reason;
    return new ProvisiondError(code, `${where}: ${why}`, hint === undefined ? {} : { hint });
  }
  const said = result.stderr.trim() || `exit code ${result.exitCode}`;
  return new ProvisiondError(work.failure, `${where}: ${said}`, { details: { exitCode: result.exitCode } });
}

/** @returns a listener for the output of a copy; the percents told only grow, and 100 is left to its end */
export function followProgress(tell: (percent: number) => void): (chunk: string) => void {
  let text = '';
  let told = -1;
  return (chunk) => {
    text += chunk;
    const total = lastNumber(text, 'total');
    const done = lastNumber(text, 'progress');
    if (!total || done === null) return;
    const percent = Math.min(99, Math.floor((100 * done) / total));
    if (percent <= told) return;
    told = percent;
    tell(percent);
  };
}

/** What a copy may write at most: a header that lies must not fill the host. */
export function mostBytesOf(sources: readonly ImageFile[], headers: readonly ImageHeader[]): number {
  const virtual = headers.reduce((total, { virtualSizeBytes }) => total + virtualSizeBytes, 0);
  const size = sources.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  return Math.max(size, Math.ceil(virtual * 1.02) + 64 * 2 ** 20);
}

function lastNumber(text: string, name: string): number | null {
  const found = [...text.matchAll(new RegExp(`^@@${name} (\\d+)$`, 'gm'))].at(-1);
  return found ? Number(found[1]) : null;
}
