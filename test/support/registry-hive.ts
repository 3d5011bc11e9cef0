/** A registry hive of Windows with nothing in it but its root, byte by byte, so that real tools have something real to work on. */
const BLOCK = 4096;
const NOTHING = 0xffffffff;
const ROOT_AT = 0x20;
const SECURITY_AT = 0x100;

export function emptyHive(): Buffer {
  const hive = Buffer.alloc(2 * BLOCK);
  hive.write('regf', 0, 'latin1');
  for (const [value, at] of [[1, 4], [1, 8], [1, 0x14], [5, 0x18], [0, 0x1c], [1, 0x20], [ROOT_AT, 0x24], [BLOCK, 0x28], [1, 0x2c]] as const)
    hive.writeUInt32LE(value, at); // prettier-ignore
  let checksum = 0;
  for (let at = 0; at < 508; at += 4) checksum ^= hive.readUInt32LE(at);
  hive.writeUInt32LE(checksum >>> 0, 508);
  const bin = hive.subarray(BLOCK);
  bin.write('hbin', 0, 'latin1');
  bin.writeUInt32LE(BLOCK, 8);
  rootKey().copy(bin, ROOT_AT);
  security().copy(bin, SECURITY_AT);
  const free = SECURITY_AT + security().length;
  bin.writeInt32LE(BLOCK - free, free);
  return hive;
}

/** A cell in use has its size as a negative number. */
function rootKey(): Buffer {
  const cell = Buffer.alloc(SECURITY_AT - ROOT_AT);
  cell.writeInt32LE(-cell.length, 0);
  cell.write('nk', 4, 'latin1');
  cell.writeUInt16LE(0x2c, 6); // the root, which nobody deletes, with a name of single bytes
  for (const at of [0x14, 0x20, 0x24, 0x2c, 0x34]) cell.writeUInt32LE(NOTHING, at);
  cell.writeUInt32LE(SECURITY_AT, 0x30);
  cell.writeUInt16LE(4, 0x4c);
  cell.write('ROOT', 0x50, 'latin1');
  return cell;
}

function security(): Buffer {
  const cell = Buffer.alloc(0x30);
  cell.writeInt32LE(-cell.length, 0);
  cell.write('sk', 4, 'latin1');
  for (const [value, at] of [[SECURITY_AT, 8], [SECURITY_AT, 12], [1, 16], [20, 20]] as const) cell.writeUInt32LE(value, at); // prettier-ignore
  cell.writeUInt8(1, 24);
  cell.writeUInt16LE(0x8000, 26); // self-relative, without owner, group and lists
  return cell;
}
