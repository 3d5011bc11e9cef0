/** Reads the root folder of an ISO 9660 volume with Rock Ridge names, by the standard's own offsets and none of provisiond's code. */
export function filesOfIso(volume: Buffer): Record<string, string> {
  const descriptor = volume.subarray(16 * 2048, 17 * 2048);
  if (descriptor.toString('latin1', 1, 6) !== 'CD001') throw new Error('no volume descriptor');
  const root = descriptor.readUInt32LE(156 + 2) * 2048;
  const end = root + descriptor.readUInt32BE(156 + 14);
  const files: Record<string, string> = {};
  for (let at = root; at < end && volume[at]! > 0; at += volume[at]!) {
    const record = volume.subarray(at, at + volume[at]!);
    if (record[25]! & 2) continue;
    const name = rockRidgeName(record.subarray(33 + record[32]! + (record[32]! % 2 === 0 ? 1 : 0)));
    const start = record.readUInt32BE(6) * 2048;
    files[name] = volume.toString('utf8', start, start + record.readUInt32LE(10));
  }
  return files;
}

function rockRidgeName(area: Buffer): string {
  for (let at = 0; at + 4 <= area.length && area[at + 2]! > 0; at += area[at + 2]!)
    if (area.toString('latin1', at, at + 2) === 'NM') return area.toString('latin1', at + 5, at + area[at + 2]!);
  throw new Error('a file has no Rock Ridge name');
}
