/**
 * The header of a sparse VMware disk and the descriptor in it, which can name a parent and, where the header says that it
 * holds no data itself, any file as its extent. All numbers are little-endian, most of them count sectors.
 */
import { HeaderRefusal } from './header-refusal';

const SECTOR_BYTES = 512n;
/** Where QEMU looks for a parent, wherever the header says that the descriptor is. */
const DESCRIPTOR_AT = 512;
const SPARSE_TYPES = new Set(['monolithicsparse', 'streamoptimized', 'twogbmaxextentsparse']);
/** The directory stands at the end of a stream; its footer says where. */
const AT_END = 0xffff_ffff_ffff_ffffn;

/** @returns the virtual size in bytes @throws HeaderRefusal */
export function readVmdkHeader(header: Buffer, sizeBytes: number): bigint {
  if (header.length < Number(SECTOR_BYTES)) throw new HeaderRefusal('it ends within its header');
  const version = header.readUInt32LE(4);
  if (version < 1 || version > 3) throw new HeaderRefusal(`it has VMDK version ${version}`);
  const capacity = header.readBigUInt64LE(12);
  const grainSectors = header.readBigUInt64LE(20);
  const descriptorSector = header.readBigUInt64LE(28);
  if (capacity === 0n) throw new HeaderRefusal('its data lies in other files');
  if (grainSectors < 1n || grainSectors > 0x20_0000n || (grainSectors & (grainSectors - 1n)) !== 0n) {
    throw new HeaderRefusal(`it claims grains of ${grainSectors} sectors`);
  }
  const tableEntries = header.readUInt32LE(44);
  if (tableEntries < 1 || tableEntries > 512) throw new HeaderRefusal(`it claims tables of ${tableEntries} entries`);
  if (header.readUInt16LE(77) > 1) throw new HeaderRefusal('it has an unknown compression');
  if (descriptorSector > 1n) throw new HeaderRefusal(`its descriptor lies at sector ${descriptorSector}`);
  checkDirectory(header, sizeBytes, capacity / (grainSectors * BigInt(tableEntries)));
  checkDescriptor(header.subarray(DESCRIPTOR_AT).toString('latin1'), descriptorSector === 1n);
  return capacity * SECTOR_BYTES;
}

function checkDirectory(header: Buffer, sizeBytes: number, tables: bigint): void {
  const directory = header.readBigUInt64LE(56);
  if (directory === AT_END) return;
  const end = directory * SECTOR_BYTES + tables * 4n;
  if (directory === 0n || end > BigInt(sizeBytes)) throw new HeaderRefusal('it is cut off: its directory is missing');
}

function checkDescriptor(text: string, isExpected: boolean): void {
  // Also where no descriptor is said to be: QEMU searches these bytes for the word all the same.
  if (/parentFileNameHint/i.test(text)) throw new HeaderRefusal('it has a backing file');
  if (!isExpected) return;
  const descriptor = text.split('\0', 1)[0]!;
  const type = /^\s*createType\s*=\s*"?([A-Za-z0-9]+)/im.exec(descriptor)?.[1] ?? 'none';
  if (!SPARSE_TYPES.has(type.toLowerCase())) throw new HeaderRefusal(`it is a VMDK of type ${type}`);
  const parent = /^\s*parentCID\s*=\s*([0-9a-f]+)/im.exec(descriptor)?.[1] ?? 'ffffffff';
  if (parent.toLowerCase() !== 'ffffffff') throw new HeaderRefusal('it has a backing file');
  const extents = [...descriptor.matchAll(/^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)/gim)].map(([, kind]) => kind!);
  if (extents.length > 1 || extents.some((kind) => kind.toUpperCase() !== 'SPARSE')) {
    throw new HeaderRefusal(`its data lies in other files (${extents.join(', ')})`);
  }
}
