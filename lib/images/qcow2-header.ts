/** The header of a qcow2 file. Layout: docs/interop/qcow2.txt of QEMU. All numbers are big-endian. */
import { HeaderRefusal } from './header-refusal';

const DIRTY = 1n << 0n;
const CORRUPT = 1n << 1n;
const EXTERNAL_DATA_FILE = 1n << 2n;
const COMPRESSION_TYPE = 1n << 3n;
const EXTENDED_L2 = 1n << 4n;
const KNOWN_INCOMPATIBLE = DIRTY | CORRUPT | EXTERNAL_DATA_FILE | COMPRESSION_TYPE | EXTENDED_L2;

const EXTENSION_END = 0;
const EXTENSION_DATA_FILE = 0x44415441;
const EXTENSION_ENCRYPTION = 0x0537be77;

/** QEMU's own limits. */
const MAX_L1_BYTES = 32 * 2 ** 20;
const MAX_REFCOUNT_TABLE_BYTES = 8 * 2 ** 20;
const MAX_SNAPSHOTS = 65_536;

/** @returns the virtual size in bytes @throws HeaderRefusal */
export function readQcow2Header(header: Buffer, sizeBytes: number): bigint {
  if (header.length < 72) throw new HeaderRefusal('it ends within its header');
  const version = header.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw new HeaderRefusal(`it has qcow2 version ${version}`);
  if (header.readBigUInt64BE(8) !== 0n || header.readUInt32BE(16) !== 0) {
    throw new HeaderRefusal('it has a backing file');
  }
  const clusterBits = header.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw new HeaderRefusal(`it claims clusters of 2^${clusterBits} bytes`);
  if (header.readUInt32BE(32) !== 0) throw new HeaderRefusal('it is encrypted');
  const features = version === 3 ? readFeatures(header, 2 ** clusterBits) : 0n;
  checkExtensions(header, version === 3 ? header.readUInt32BE(100) : 72, 2 ** clusterBits);
  checkTables(header, sizeBytes, clusterBits, (features & EXTENDED_L2) !== 0n);
  return header.readBigUInt64BE(24);
}

function readFeatures(header: Buffer, clusterBytes: number): bigint {
  if (header.length < 104) throw new HeaderRefusal('it ends within its header');
  const incompatible = header.readBigUInt64BE(72);
  if (incompatible & EXTERNAL_DATA_FILE) throw new HeaderRefusal('it has an external data file');
  if (incompatible & CORRUPT) throw new HeaderRefusal('it is marked corrupt');
  if (incompatible & DIRTY) throw new HeaderRefusal('it was not closed by whoever wrote it last');
  if (incompatible & ~KNOWN_INCOMPATIBLE) {
    throw new HeaderRefusal(`it has unknown features 0x${incompatible.toString(16)}`);
  }
  if (header.readUInt32BE(96) > 6) throw new HeaderRefusal('it claims reference counts of more than 64 bits');
  const headerLength = header.readUInt32BE(100);
  if (headerLength < 104 || headerLength > clusterBytes || headerLength % 8 !== 0) {
    throw new HeaderRefusal(`it claims a header of ${headerLength} bytes`);
  }
  if (incompatible & COMPRESSION_TYPE && (headerLength < 105 || header.length < 105 || header[104]! > 1)) {
    throw new HeaderRefusal('it has an unknown compression');
  }
  return incompatible;
}

/** As far as they lie in the bytes at hand: QEMU heeds a data file only where the feature bit says so. */
function checkExtensions(header: Buffer, start: number, clusterBytes: number): void {
  for (let at = start; at + 8 <= header.length;) {
    const type = header.readUInt32BE(at);
    const length = header.readUInt32BE(at + 4);
    if (type === EXTENSION_END) return;
    if (type === EXTENSION_DATA_FILE) throw new HeaderRefusal('it names an external data file');
    if (type === EXTENSION_ENCRYPTION) throw new HeaderRefusal('it is encrypted');
    if (length > clusterBytes - at - 8) throw new HeaderRefusal('an extension of its header has no end');
    at += 8 + Math.ceil(length / 8) * 8;
  }
}

/** The tables must lie in the file, be as large as the virtual size needs them, and not be larger than QEMU takes. */
function checkTables(header: Buffer, sizeBytes: number, clusterBits: number, extendedL2: boolean): void {
  const clusterBytes = 2 ** clusterBits;
  const l2Covers = BigInt(clusterBytes) * BigInt(clusterBytes / (extendedL2 ? 16 : 8));
  const virtualSize = header.readBigUInt64BE(24);
  const l1Entries = header.readUInt32BE(36);
  if (BigInt(l1Entries) < (virtualSize + l2Covers - 1n) / l2Covers || l1Entries * 8 > MAX_L1_BYTES) {
    throw new HeaderRefusal(`its L1 table of ${l1Entries} entries does not fit a size of ${virtualSize} bytes`);
  }
  const refcountBytes = header.readUInt32BE(56) * clusterBytes;
  if (refcountBytes === 0 || refcountBytes > MAX_REFCOUNT_TABLE_BYTES) {
    throw new HeaderRefusal(`it claims a refcount table of ${refcountBytes} bytes`);
  }
  const snapshots = header.readUInt32BE(60);
  if (snapshots > MAX_SNAPSHOTS) throw new HeaderRefusal(`it claims ${snapshots} snapshots`);
  const places: [string, bigint, number][] = [
    ['L1 table', header.readBigUInt64BE(40), l1Entries * 8],
    ['refcount table', header.readBigUInt64BE(48), refcountBytes],
    // One entry of the snapshot table takes 40 bytes at least.
    ...(snapshots > 0
      ? [['snapshot table', header.readBigUInt64BE(64), snapshots * 40] as [string, bigint, number]]
      : []),
  ];
  for (const [what, offset, bytes] of places) {
    if (bytes > 0 && (offset === 0n || offset % BigInt(clusterBytes) !== 0n)) {
      throw new HeaderRefusal(`its ${what} lies at ${offset}`);
    }
    if (offset + BigInt(bytes) > BigInt(sizeBytes)) throw new HeaderRefusal(`it is cut off: its ${what} is missing`);
  }
}
