/**
 * Brings an image file from this machine to a folder of a host.
 *
 * It arrives under a `.part` name, is proved to be the same, and only then gets its name; nothing is ever replaced.
 * Over ssh it goes in pieces, so that neither side holds more than one in memory and each has a deadline of its own.
 */
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { ProvisiondError } from '../errors';
import { type Host, script } from '../host/host';
import { VMDK_HEADER_BYTES, checkImageHeader } from '../images/image-header';
import { SUM_OF } from '../images/qemu-img';

const PIECE_BYTES = 8 * 2 ** 20;

export interface UploadOptions {
  readonly transport: 'ssh' | 'local';
  /** For a local copy, and for reading the whole file on the other side. */
  readonly timeoutMs: number;
  /** Told now and then how much is there. */
  readonly onProgress?: (bytes: number, total: number) => void;
}

/** A file that arrived, under a name that nobody uses. */
export interface Upload {
  readonly sizeBytes: number;
  readonly sha256: string;
  /** Gives it its name. @throws CONFLICT when there is a file of that name already */
  publish(fileName: string): Promise<string>;
  /** Removes it, unless it was published. */
  discard(): Promise<void>;
}

/** @throws IMAGE_UNTRUSTED when the file is not of that format or reads other files; NOT_FOUND when it is not there */
export async function checkImageFile(file: string, format: string): Promise<void> {
  const handle = await fs.open(file).catch((cause: unknown) => {
    throw new ProvisiondError('NOT_FOUND', `reading image file ${file}`, {
      cause,
      hint: 'Name a file of this machine',
    });
  });
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(VMDK_HEADER_BYTES), 0, VMDK_HEADER_BYTES, 0);
    // Held to what it is going to be called, not to what it is called here.
    const claimed = file.endsWith(`.${format}`) ? file : `${file}.${format}`;
    checkImageHeader(claimed, buffer.subarray(0, bytesRead), (await handle.stat()).size);
  } finally {
    await handle.close();
  }
}

/**
 * Copies a file into a folder of a host.
 * @throws HOST_DISK_FULL, IMAGE_COPY_FAILED, and what the host throws
 */
export async function uploadImage(host: Host, file: string, folder: string, options: UploadOptions): Promise<Upload> {
  const part = path.posix.join(folder, `.provisiond-${randomBytes(6).toString('hex')}.part`);
  const sizeBytes = (await fs.stat(file)).size;
  const discard = async () => void (await host.run(['rm', '-f', '--', part]));
  await prepareFolder(host, folder, sizeBytes);
  let sha256: string;
  try {
    sha256 =
      options.transport === 'local'
        ? await copyLocally(host, path.resolve(file), part, options)
        : await sendPieces(host, file, part, sizeBytes, options);
    await compareSum(host, part, sha256, options.timeoutMs);
  } catch (error) {
    await discard().catch(() => {});
    throw error;
  }
  return { sizeBytes, sha256, discard, publish: (fileName) => publish(host, part, path.posix.join(folder, fileName)) };
}

async function prepareFolder(host: Host, folder: string, sizeBytes: number): Promise<void> {
  const { stdout } = await host.run(script('mkdir -p -- "$1" && df --output=avail -B1 -- "$1" | tail -n 1', folder));
  const free = Number(stdout.trim());
  if (free >= sizeBytes) return;
  const MIB = 2 ** 20;
  const message = `${folder} on ${host.name} has ${Math.floor(free / MIB)} MiB free, the image needs ${Math.ceil(sizeBytes / MIB)}`;
  throw new ProvisiondError('HOST_DISK_FULL', message);
}

async function copyLocally(host: Host, file: string, part: string, { timeoutMs }: UploadOptions): Promise<string> {
  await host.run(['cp', '--reflink=auto', '--sparse=always', '--', file, part], { timeoutMs });
  return sumOnHost(host, file, timeoutMs);
}

async function sendPieces(
  host: Host,
  file: string,
  part: string,
  sizeBytes: number,
  { onProgress }: UploadOptions,
): Promise<string> {
  const hash = createHash('sha256');
  const handle = await fs.open(file);
  try {
    for (let sent = 0; sent < sizeBytes;) {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(PIECE_BYTES), 0, PIECE_BYTES, sent);
      if (bytesRead === 0) break;
      const piece = buffer.subarray(0, bytesRead);
      hash.update(piece);
      await sendPiece(host, part, sent, piece);
      sent += bytesRead;
      onProgress?.(sent, sizeBytes);
    }
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}

/** At its place, not at the end: a piece that is sent twice, because a connection broke, does no harm. */
async function sendPiece(host: Host, part: string, offset: number, piece: Buffer): Promise<void> {
  const how = ['oflag=seek_bytes', 'conv=notrunc', 'iflag=fullblock', 'bs=1M', 'status=none'];
  const send = () => host.run(['dd', `of=${part}`, `seek=${offset}`, ...how], { stdin: piece });
  await send().catch((error: unknown) => {
    if (!(error instanceof ProvisiondError && error.retryable)) throw error;
    return send();
  });
}

async function compareSum(host: Host, part: string, sum: string, timeoutMs: number): Promise<void> {
  if ((await sumOnHost(host, part, timeoutMs)) === sum) return;
  throw new ProvisiondError('IMAGE_COPY_FAILED', `the copy ${part} on ${host.name} differs from the file`);
}

/** A link is made only where nothing is yet; a rename would replace what is there. */
async function publish(host: Host, part: string, file: string): Promise<string> {
  const text =
    'chmod 0444 -- "$1" && sync -- "$1" && { ln -T -- "$1" "$2" || { [ -e "$2" ] && exit 17; exit 1; }; } && rm -- "$1"';
  const { exitCode } = await host.run(script(text, part, file), { expect: [0, 17] });
  if (exitCode === 17) {
    throw new ProvisiondError('CONFLICT', `there is a file ${file} on ${host.name} already`, {
      hint: 'Look at what it is, and move it away if it is not needed',
    });
  }
  return file;
}

async function sumOnHost(host: Host, file: string, timeoutMs: number): Promise<string> {
  const { stdout } = await host.run(script(`${SUM_OF}\nsum_of "$1"`, file), { timeoutMs });
  return stdout.trim();
}
