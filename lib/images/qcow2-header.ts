/**
 * What a disk image says of itself in its first bytes, read by ourselves BEFORE qemu-img is let at the file:
 * a header that names a backing or data file makes qemu-img read whatever file it names.
 *
 * Layout: docs/interop/qcow2.txt of QEMU. All numbers are big-endian.
 */
import { ProvisiondError } from '../errors';

/** How many bytes of a file {@link checkImageHeader} needs. */
export const HEADER_BYTES = 112;
/** A file of 1 MiB may claim 60 TiB; nothing that a site really runs is larger than this. */
const MAX_VIRTUAL_SIZE_BYTES = 8 * 2 ** 40;

const QCOW2_MAGIC = 0x514649fb;
const VMDK_MAGIC = 0x4b444d56;
const CORRUPT = 1n << 1n;
const EXTERNAL_DATA_FILE = 1n << 2n;
/** Dirty, corrupt, external data file, compression type, extended L2: what QEMU knows up to 9. */
const KNOWN_INCOMPATIBLE = 0b11111n;

/** VCL names formats by their file extension. */
const FORMATS_BY_EXTENSION: Readonly<Record<string, string>> = { img: 'raw', raw: 'raw', dd: 'raw' };

/** The format that a file's extension claims. */
export function claimedFormat(file: string): string {
  const extension = file.slice(file.lastIndexOf('.') + 1).toLowerCase();
  return FORMATS_BY_EXTENSION[extension] ?? extension;
}

export interface ImageHeader {
  readonly format: string;
  /** Null where the header does not tell: raw files are as large as they are. */
  readonly virtualSizeBytes: number | null;
}

/**
 * Holds an image file to what its name claims.
 * @param file  path on the host, for the message and its extension
 * @param header its first bytes; a shorter file gives fewer
 * @throws IMAGE_UNTRUSTED
 */
export function checkImageHeader(file: string, header: Buffer): ImageHeader {
  const claimed = claimedFormat(file);
  const found = detectFormat(header);
  if (found !== claimed && !(found === 'raw' && !['qcow2', 'vmdk', 'qcow'].includes(claimed))) {
    throw untrusted(file, `its name says ${claimed}, its first bytes say ${found}`);
  }
  if (claimed === 'qcow2') return { format: 'qcow2', virtualSizeBytes: checkQcow2(file, header) };
  return { format: claimed, virtualSizeBytes: null };
}

function detectFormat(header: Buffer): string {
  if (header.length >= 8 && header.readUInt32BE(0) === QCOW2_MAGIC)
    return header.readUInt32BE(4) === 1 ? 'qcow' : 'qcow2';
  if (header.length >= 4 && header.readUInt32BE(0) === VMDK_MAGIC) return 'vmdk';
  if (header.toString('latin1').startsWith('# Disk DescriptorFile')) return 'vmdk descriptor';
  return 'raw';
}

function checkQcow2(file: string, header: Buffer): number {
  if (header.length < 72) throw untrusted(file, 'it ends within its header');
  const version = header.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw untrusted(file, `it has qcow2 version ${version}`);
  if (header.readBigUInt64BE(8) !== 0n || header.readUInt32BE(16) !== 0) throw untrusted(file, 'it has a backing file');
  const clusterBits = header.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw untrusted(file, `it claims clusters of 2^${clusterBits} bytes`);
  if (header.readUInt32BE(32) !== 0) throw untrusted(file, 'it is encrypted');
  if (version === 3) checkFeatures(file, header);
  const virtualSize = header.readBigUInt64BE(24);
  if (virtualSize === 0n || virtualSize > BigInt(MAX_VIRTUAL_SIZE_BYTES)) {
    throw untrusted(file, `it claims a size of ${virtualSize} bytes`);
  }
  return Number(virtualSize);
}

function checkFeatures(file: string, header: Buffer): void {
  if (header.length < 104) throw untrusted(file, 'it ends within its header');
  const incompatible = header.readBigUInt64BE(72);
  if (incompatible & EXTERNAL_DATA_FILE) throw untrusted(file, 'it has an external data file');
  if (incompatible & CORRUPT) throw untrusted(file, 'it is marked corrupt');
  if (incompatible & ~KNOWN_INCOMPATIBLE)
    throw untrusted(file, `it has unknown features 0x${incompatible.toString(16)}`);
}

function untrusted(file: string, why: string): ProvisiondError {
  return new ProvisiondError('IMAGE_UNTRUSTED', `image ${file} is not used as base: ${why}`, { details: { file } });
}
