/** The header of a VirtualBox disk, version 1.1. All numbers are little-endian. */
import { HeaderRefusal } from './header-refusal';

const SECTOR_BYTES = 512;
const NO_UUID = Buffer.alloc(16);
const DYNAMIC = 1;
const STATIC = 2;

/** @returns the virtual size in bytes @throws HeaderRefusal */
export function readVdiHeader(header: Buffer, sizeBytes: number): bigint {
  if (header.length < 0x1c8) throw new HeaderRefusal('it ends within its header');
  const version = header.readUInt32LE(0x44);
  if (version !== 0x0001_0001) throw new HeaderRefusal(`it has VDI version ${version >>> 16}.${version & 0xffff}`);
  const type = header.readUInt32LE(0x4c);
  if (type !== DYNAMIC && type !== STATIC) throw new HeaderRefusal('it is a difference to another disk');
  const hasParent = [0x1a8, 0x1b8].some((at) => !header.subarray(at, at + 16).equals(NO_UUID));
  if (hasParent) throw new HeaderRefusal('it has a backing file');
  const mapOffset = header.readUInt32LE(0x154);
  const dataOffset = header.readUInt32LE(0x158);
  const virtualSize = header.readBigUInt64LE(0x170);
  const blockBytes = header.readUInt32LE(0x178);
  const blocks = header.readUInt32LE(0x180);
  const allocated = header.readUInt32LE(0x184);
  if (header.readUInt32LE(0x168) !== SECTOR_BYTES || blockBytes !== 2 ** 20) {
    throw new HeaderRefusal(`it claims blocks of ${blockBytes} bytes`);
  }
  if (BigInt(blocks) * BigInt(blockBytes) < virtualSize || allocated > blocks) {
    throw new HeaderRefusal(`its ${blocks} blocks do not fit a size of ${virtualSize} bytes`);
  }
  if (mapOffset % SECTOR_BYTES !== 0 || dataOffset % SECTOR_BYTES !== 0 || mapOffset + blocks * 4 > dataOffset) {
    throw new HeaderRefusal(`its block map lies at ${mapOffset}`);
  }
  if (dataOffset + allocated * blockBytes > sizeBytes) throw new HeaderRefusal('it is cut off: blocks are missing');
  return virtualSize;
}
