/** Image files that somebody made to have a host read what it must not, or that broke; made with the real qemu-img. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface HostileImage {
  readonly what: string;
  readonly extension: 'qcow2' | 'vmdk' | 'vdi' | 'raw';
  /** What the refusal says. */
  readonly says: RegExp;
  /** @param file where to make it @param secret a file of the host that it tries to have read */
  make(file: string, secret: string): void;
}

export function qemuImg(...args: string[]): void {
  execFileSync('qemu-img', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** A sound image with something in it. */
export function makeSound(file: string, format: string, options: readonly string[] = []): void {
  const raw = `${file}.content`;
  writeFileSync(raw, Buffer.concat([Buffer.alloc(256 * 1024, 'content '), Buffer.alloc(768 * 1024)]));
  qemuImg('convert', '-f', 'raw', '-O', format, ...options, raw, file);
  rmSync(raw);
}

const changed = (
  extension: HostileImage['extension'],
  what: string,
  says: RegExp,
  change: (bytes: Buffer) => unknown,
) => ({
  what,
  extension,
  says,
  make(file: string) {
    makeSound(file, extension);
    const bytes = readFileSync(file);
    change(bytes);
    writeFileSync(file, bytes);
  },
});

const made = (
  extension: HostileImage['extension'],
  what: string,
  says: RegExp,
  make: (file: string, secret: string) => void,
) => ({ extension, what, says, make });

/** Writes a name into a qcow2 header as its backing file. */
function nameBacking(bytes: Buffer, name: string): void {
  bytes.write(name, 1024);
  bytes.writeBigUInt64BE(1024n, 8);
  bytes.writeUInt32BE(name.length, 16);
}

const cutAt = (extension: HostileImage['extension'], sizeBytes: number, says = /cut off|ends within|first bytes/) =>
  made(extension, `cut off after ${sizeBytes} bytes`, says, (file) => {
    makeSound(file, extension);
    truncateSync(file, sizeBytes);
  });

/** A VMDK descriptor inside a sparse extent. */
function writeDescriptor(bytes: Buffer, text: string): void {
  bytes.fill(0, 512, 512 + 20 * 512);
  bytes.write(`# Disk DescriptorFile\nversion=1\nCID=12345678\n${text}\n`, 512);
}

export const HOSTILE_IMAGES: readonly HostileImage[] = [
  made('qcow2', 'with a file of the host as backing file', /backing file/, (file, secret) =>
    qemuImg('create', '-q', '-f', 'qcow2', '-b', secret, '-F', 'raw', file, '1M'),
  ),
  made('qcow2', 'with a json: name as backing file', /backing file/, (file, secret) =>
    qemuImg(
      'create',
      '-q',
      '-f',
      'qcow2',
      '-u',
      '-b',
      `json:{"driver":"raw","file.filename":"${secret}"}`,
      '-F',
      'raw',
      file,
      '1M',
    ),
  ),
  made('qcow2', 'with itself as backing file', /backing file/, (file) => {
    makeSound(file, 'qcow2');
    const bytes = readFileSync(file);
    nameBacking(bytes, path.basename(file));
    writeFileSync(file, bytes);
  }),
  made('qcow2', 'in a loop with another', /backing file/, (file) => {
    const other = `${file}.loop`;
    qemuImg('create', '-q', '-f', 'qcow2', other, '1M');
    qemuImg('create', '-q', '-f', 'qcow2', '-b', other, '-F', 'qcow2', file, '1M');
    qemuImg('rebase', '-u', '-f', 'qcow2', '-b', file, '-F', 'qcow2', other);
  }),
  made('qcow2', 'with a backing file that is not there', /backing file/, (file) =>
    qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', '/nowhere/base.raw', '-F', 'raw', file, '1M'),
  ),
  made('qcow2', 'with a file of the host as its data file', /data file/, (file, secret) => {
    const data = `${file}.data`;
    qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${data},data_file_raw=on`, file, '1M');
    rmSync(data);
    symlinkSync(secret, data);
  }),
  made('qcow2', 'that claims 60 TiB', /size of 65970697666560 bytes/, (file) =>
    qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', file, '60T'),
  ),
  // Not luks: its key derivation measures the processor, and gives up where that is busy.
  made('qcow2', 'that is encrypted', /encrypted/, (file) =>
    qemuImg(
      'create',
      '-q',
      '--object',
      'secret,id=s,data=x',
      '-f',
      'qcow2',
      '-o',
      'encrypt.format=aes,encrypt.key-secret=s',
      file,
      '1M',
    ),
  ),
  changed('qcow2', 'of version 0', /version 0/, (bytes) => bytes.writeUInt32BE(0, 4)),
  changed('qcow2', 'of version 1', /first bytes say qcow/, (bytes) => bytes.writeUInt32BE(1, 4)),
  changed('qcow2', 'of a version to come', /version 4/, (bytes) => bytes.writeUInt32BE(4, 4)),
  changed('qcow2', 'with clusters of nonsense', /clusters of 2\^31/, (bytes) => bytes.writeUInt32BE(31, 20)),
  changed('qcow2', 'marked corrupt', /corrupt/, (bytes) => (bytes[79]! |= 2)),
  changed('qcow2', 'that was not closed', /not closed/, (bytes) => (bytes[79]! |= 1)),
  changed('qcow2', 'with features that nobody knows', /unknown features/, (bytes) => (bytes[72] = 0x80)),
  changed('qcow2', 'with an unknown compression', /unknown compression/, (bytes) => {
    bytes[79]! |= 8;
    bytes[104] = 9;
  }),
  changed('qcow2', 'that is larger than its tables', /L1 table/, (bytes) => bytes.writeBigUInt64BE(2n ** 40n, 24)),
  changed('qcow2', 'whose tables are larger than any', /L1 table/, (bytes) => bytes.writeUInt32BE(2 ** 31, 36)),
  changed('qcow2', 'whose L1 table lies beyond its end', /cut off: its L1/, (bytes) =>
    bytes.writeBigUInt64BE(2n ** 50n, 40),
  ),
  changed('qcow2', 'whose L1 table lies in its header', /L1 table lies at 0/, (bytes) =>
    bytes.writeBigUInt64BE(0n, 40),
  ),
  changed('qcow2', 'whose refcount table lies beyond its end', /cut off: its refcount/, (bytes) =>
    bytes.writeBigUInt64BE(2n ** 40n, 48),
  ),
  changed('qcow2', 'with more snapshots than fit', /snapshots/, (bytes) => bytes.writeUInt32BE(2 ** 31, 60)),
  changed('qcow2', 'with a snapshot table that is not there', /snapshot table/, (bytes) => {
    bytes.writeUInt32BE(1000, 60);
    bytes.writeBigUInt64BE(2n ** 40n, 64);
  }),
  changed('qcow2', 'of no size', /size of 0 bytes/, (bytes) => bytes.writeBigUInt64BE(0n, 24)),
  cutAt('qcow2', 0),
  cutAt('qcow2', 60),
  cutAt('qcow2', 4096),
  cutAt('qcow2', 196_608),
  made('raw', 'in which a guest wrote a qcow2 header', /first bytes say qcow2/, (file, secret) => {
    qemuImg('create', '-q', '-f', 'qcow2', '-b', secret, '-F', 'raw', file, '1M');
  }),
  made('raw', 'in which a guest wrote a VMDK descriptor', /first bytes say vmdk descriptor/, (file, secret) =>
    writeFileSync(file, `# Disk DescriptorFile\nversion=1\nRW 8 FLAT "${secret}" 0\n`),
  ),
  made('raw', 'of no bytes at all', /size of 0 bytes/, (file) => writeFileSync(file, '')),
  made('vmdk', 'that is a descriptor with a file of the host as its extent', /descriptor/, (file, secret) =>
    writeFileSync(file, `# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 8 FLAT "${secret}" 0\n`),
  ),
  made('vmdk', 'that is a descriptor in disguise', /first bytes say raw/, (file, secret) =>
    writeFileSync(file, `\n# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 8 FLAT "${secret}" 0\n`),
  ),
  changed('vmdk', 'that says its data lies elsewhere', /data lies in other files/, (bytes) => {
    bytes.writeBigUInt64LE(0n, 12);
    writeDescriptor(bytes, 'createType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0');
  }),
  changed('vmdk', 'with extents in other files', /type monolithicFlat/, (bytes) =>
    writeDescriptor(bytes, 'parentCID=ffffffff\ncreateType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0'),
  ),
  changed('vmdk', 'with a parent', /backing file/, (bytes) =>
    writeDescriptor(bytes, 'parentCID=00000001\ncreateType="monolithicSparse"\nparentFileNameHint="/etc/passwd"'),
  ),
  changed('vmdk', 'with a second descriptor where nobody is told of it', /sector 40/, (bytes) =>
    bytes.writeBigUInt64LE(40n, 28),
  ),
  changed('vmdk', 'with grains of nonsense', /grains/, (bytes) => bytes.writeBigUInt64LE(3n, 20)),
  changed('vmdk', 'of 4 PiB', /cut off/, (bytes) => bytes.writeBigUInt64LE(2n ** 43n, 12)),
  changed('vmdk', 'of ESX', /first bytes say vmdk of ESX/, (bytes) => bytes.write('COWD', 0)),
  cutAt('vmdk', 300),
  cutAt('vmdk', 1024),
  changed('vdi', 'with a parent', /backing file/, (bytes) => bytes.write('0123456789abcdef', 0x1a8)),
  changed('vdi', 'that is a difference', /difference/, (bytes) => bytes.writeUInt32LE(4, 0x4c)),
  changed('vdi', 'with blocks of nonsense', /blocks of/, (bytes) => bytes.writeUInt32LE(1, 0x178)),
  changed('vdi', 'that is larger than its map', /do not fit/, (bytes) => bytes.writeBigUInt64LE(2n ** 41n, 0x170)),
  changed('vdi', 'of another version', /version/, (bytes) => bytes.writeUInt32LE(7, 0x44)),
  cutAt('vdi', 100),
  cutAt('vdi', 4096),
];

/** A file as it comes from a transfer that damaged it. */
export function flipBit(file: string, bit: number): string {
  const damaged = `${file}.damaged${path.extname(file)}`;
  copyFileSync(file, damaged);
  const bytes = readFileSync(damaged);
  const at = bit % (bytes.length * 8);
  bytes[at >> 3]! ^= 1 << (at & 7);
  writeFileSync(damaged, bytes);
  return damaged;
}
