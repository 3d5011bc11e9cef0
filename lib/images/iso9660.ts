/**
 * A small volume of ISO 9660 (ECMA-119) with its files in the root folder, as guests read a configuration from. Names stand in it as
 * they are by Rock Ridge (SUSP 1.12, RRIP 1.12); those of ECMA-119 itself know no small letters.
 */

const SECTOR = 2048;
/** ECMA-119 8.4: the volume descriptors begin after 16 sectors that belong to nobody. */
const DESCRIPTOR_SECTOR = 16;
const LITTLE_PATHS_SECTOR = 18;
const BIG_PATHS_SECTOR = 19;
const ROOT_SECTOR = 20;
const FIRST_FILE_SECTOR = 21;

/**
 * @param label  of the volume, by which a guest finds it
 * @param files  name → content
 * @param date   of everything in it
 */
export function isoVolume(label: string, files: Readonly<Record<string, string>>, date: Date): Buffer {
  let sector = FIRST_FILE_SECTOR;
  const extents = Object.entries(files)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, text]) => {
      const content = Buffer.from(text);
      const at = sector;
      sector += Math.max(1, Math.ceil(content.length / SECTOR));
      return { name, content, at };
    });
  const root = Buffer.concat([
    directoryRecord(Buffer.from([0]), ROOT_SECTOR, SECTOR, date, { folder: true, extra: [SUSP_HERE, posix(0o40555)] }),
    directoryRecord(Buffer.from([1]), ROOT_SECTOR, SECTOR, date, { folder: true, extra: [posix(0o40555)] }),
    ...extents.map(({ name, content, at }) =>
      directoryRecord(Buffer.from(isoName(name)), at, content.length, date, {
        extra: [realName(name), posix(0o100444)],
      }),
    ),
  ]);
  if (root.length > SECTOR) throw new RangeError('the files do not fit into one sector of a folder');
  const volume = Buffer.alloc(sector * SECTOR);
  primaryDescriptor(label, sector, date).copy(volume, DESCRIPTOR_SECTOR * SECTOR);
  volume.write('\xffCD001\x01', (DESCRIPTOR_SECTOR + 1) * SECTOR, 'latin1');
  pathTable(false).copy(volume, LITTLE_PATHS_SECTOR * SECTOR);
  pathTable(true).copy(volume, BIG_PATHS_SECTOR * SECTOR);
  root.copy(volume, ROOT_SECTOR * SECTOR);
  for (const { content, at } of extents) content.copy(volume, at * SECTOR);
  return volume;
}

/** ECMA-119 7.6.2: capitals, digits and `_`, at most 30 of them, and a version. */
const isoName = (name: string) =>
  `${name
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, '_')
    .slice(0, 26)}.;1`;

/** SUSP `SP`, in the first record of the root: the system use areas are in use. */
const SUSP_HERE = Buffer.from([0x53, 0x50, 7, 1, 0xbe, 0xef, 0]);
/** RRIP `NM`. */
const realName = (name: string) => Buffer.concat([Buffer.from([0x4e, 0x4d, 5 + name.length, 1, 0]), Buffer.from(name)]);

/** RRIP `PX`: mode, links, user, group. */
function posix(mode: number): Buffer {
  return Buffer.concat([Buffer.from([0x50, 0x58, 36, 1]), ...[mode, 1, 0, 0].map(both32)]);
}

/** ECMA-119 9.1. */
function directoryRecord(
  name: Buffer,
  sector: number,
  bytes: number,
  date: Date,
  { folder = false, extra = [] as readonly Buffer[] } = {},
): Buffer {
  const padding = Buffer.alloc(name.length % 2 === 0 ? 1 : 0);
  const head = Buffer.alloc(33);
  both32(sector).copy(head, 2);
  both32(bytes).copy(head, 10);
  const at = [date.getUTCFullYear() - 1900, date.getUTCMonth() + 1, date.getUTCDate()];
  Buffer.from([...at, date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds(), 0]).copy(head, 18);
  head[25] = folder ? 2 : 0;
  both16(1).copy(head, 28);
  head[32] = name.length;
  const record = Buffer.concat([head, name, padding, ...extra]);
  const whole = Buffer.concat([record, Buffer.alloc(record.length % 2)]);
  whole[0] = whole.length;
  return whole;
}

/** ECMA-119 8.4. */
function primaryDescriptor(label: string, sectors: number, date: Date): Buffer {
  const block = Buffer.alloc(SECTOR);
  block.write('\x01CD001\x01', 0, 'latin1');
  block.fill(' ', 8, 72);
  block.write(label, 40, 'ascii');
  both32(sectors).copy(block, 80);
  for (const [value, at] of [[1, 120], [1, 124], [SECTOR, 128]] as const) both16(value).copy(block, at); // prettier-ignore
  both32(PATH_TABLE_BYTES).copy(block, 132);
  block.writeUInt32LE(LITTLE_PATHS_SECTOR, 140);
  block.writeUInt32BE(BIG_PATHS_SECTOR, 148);
  directoryRecord(Buffer.from([0]), ROOT_SECTOR, SECTOR, date, { folder: true }).copy(block, 156);
  block.fill(' ', 190, 813);
  const digits = date.toISOString().replace(/\D/g, '').slice(0, 16);
  for (const [text, at] of [[digits, 813], [digits, 830], ['0'.repeat(16), 847], [digits, 864]] as const)
    block.write(text, at, 'ascii'); // prettier-ignore
  block[881] = 1;
  return block;
}

const PATH_TABLE_BYTES = 10;

/** ECMA-119 9.4: the root and nothing else. */
function pathTable(big: boolean): Buffer {
  const table = Buffer.alloc(PATH_TABLE_BYTES);
  table[0] = 1;
  if (big) {
    table.writeUInt32BE(ROOT_SECTOR, 2);
    table.writeUInt16BE(1, 6);
  } else {
    table.writeUInt32LE(ROOT_SECTOR, 2);
    table.writeUInt16LE(1, 6);
  }
  return table;
}

function both16(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16LE(value, 0);
  bytes.writeUInt16BE(value, 2);
  return bytes;
}

function both32(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(value, 0);
  bytes.writeUInt32BE(value, 4);
  return bytes;
}
