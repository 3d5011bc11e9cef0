/** What is in a disk, byte by byte: patterns that qemu-io writes and reads. */
import { execFileSync } from 'node:child_process';

export const MIB = 1 << 20;
/** Behind a boot sector, and behind the ring of a guest that writes. */
export const AT = 2 * MIB;

export const io = (file: string, command: string): string =>
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, file], { encoding: 'utf8' });

/** Fills a MiB. */
export const fill = (file: string, pattern: number): string => io(file, `write -P ${pattern} ${AT} ${MIB}`);

/** Looks only, also while a guest has the disk open. */
export const look = (file: string, command: string): string =>
  execFileSync('qemu-io', ['-r', '-U', '-f', 'qcow2', '-c', command, file], { encoding: 'utf8' });

/** The byte at the place that {@link fill} writes to, also while a guest has the disk open. */
export const byteIn = (file: string): number =>
  parseInt(look(file, `read -v ${AT} 512`).split('\n')[0]!.split(/\s+/)[1]!, 16);

export const sum = (file: string): string => execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64);
