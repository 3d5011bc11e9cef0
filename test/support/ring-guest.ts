/**
 * A guest that writes without a pause: a counter, into the next sector of a ring each time. What a copy holds of it tells of which
 * moment it is, and whether all of it is of one moment.
 */

/** Sectors of the ring; it begins behind the boot sector. */
export const RING = 64;

/**
 * x86, real mode. BIOS interrupt 0x13, function 0x43 (extended write) of one sector at a time, from a buffer that holds the counter.
 * It hears no power button.
 */
export function ringWriter(): Buffer {
  const code = [
    ...[0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xfb], // segments and stack at 0
    ...[0x88, 0x16, 0xf0, 0x7d], // the drive that it was booted from, to 0x7df0
    ...[0x66, 0x31, 0xdb], // ebx = 0: the counter
    // loop:
    ...[0x66, 0x43], // inc ebx
    ...[0x66, 0x89, 0x1e, 0x00, 0x80], // [0x8000] = ebx
    ...[0x66, 0x89, 0x1e, 0xfc, 0x81], // [0x81fc] = ebx: at both ends of the sector
    ...[0x66, 0x89, 0xd8], // eax = ebx
    ...[0x66, 0x83, 0xe0, RING - 1], // eax &= 63
    ...[0x66, 0x40], // eax += 1
    ...[0x66, 0xa3, 0x08, 0x7e], // [0x7e08] = eax: the sector
    ...[0xc7, 0x06, 0x00, 0x7e, 0x10, 0x00], // packet: 16 bytes
    ...[0xc7, 0x06, 0x02, 0x7e, 0x01, 0x00], // one sector
    ...[0xc7, 0x06, 0x04, 0x7e, 0x00, 0x80], // from 0x0000:0x8000
    ...[0xc7, 0x06, 0x06, 0x7e, 0x00, 0x00],
    ...[0x66, 0xc7, 0x06, 0x0c, 0x7e, 0x00, 0x00, 0x00, 0x00], // the sector's upper half
    ...[0xbe, 0x00, 0x7e], // si = packet
    ...[0x8a, 0x16, 0xf0, 0x7d], // dl = drive
    ...[0xb8, 0x00, 0x43], // ax = 0x4300
    ...[0xcd, 0x13],
    ...[0xf4], // until the timer ticks
  ];
  const loop = 20;
  code.push(0xeb, (loop - (code.length + 2)) & 0xff);
  const sector = Buffer.alloc(512);
  sector.set(code);
  sector.set([0x55, 0xaa], 510);
  return sector;
}

export interface Ring {
  readonly newest: number;
  /** What is not as of one moment: sectors whose ends differ, or that hold a number which they could not have then. */
  readonly torn: readonly string[];
}

/** @param io runs a command of qemu-io on a file and returns what it prints */
export function readRing(io: (file: string, command: string) => string, file: string): Ring {
  const text = io(file, `read -v 512 ${RING * 512}`);
  const bytes = text
    .split('\n')
    .flatMap((line) => /^[0-9a-f]{8}:\s+((?:[0-9a-f]{2} ?)+)/.exec(line)?.[1]?.trim().split(/\s+/) ?? [])
    .map((hex) => parseInt(hex, 16));
  const data = Buffer.from(bytes);
  const numbers = Array.from({ length: RING }, (_, index) => data.readUInt32LE(index * 512));
  const newest = Math.max(...numbers);
  const torn = numbers.flatMap((number, index) => {
    const end = data.readUInt32LE(index * 512 + 508);
    // The newest number that belongs into this sector and is not newer than the newest of all.
    const wanted = newest - ((((newest - index) % RING) + RING) % RING);
    const isRight = number === end && (number === wanted || (wanted <= 0 && number === 0));
    return isRight ? [] : [`sector ${index} holds ${number} and ${end}, not ${wanted}`];
  });
  return { newest, torn };
}
