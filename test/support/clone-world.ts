/** VMs of a fake world with volumes of all types, whose content tells whose it is: a byte that fills the beginning of each. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { FakeSiteOptions } from './fake-site';
import type { FakeHost } from './fake-host';
import { VmWorld } from './vm-world';

export interface Furniture {
  /** Of the system volume. */
  readonly system?: number;
  readonly temporary?: number;
  readonly data?: number;
  readonly drive?: true;
}

interface DiskFacts {
  readonly path: string;
  readonly backing: string | null;
  readonly backingFormat: string | null;
  readonly format: string;
  readonly sizeBytes: number;
}

export class CloneWorld {
  private constructor(readonly vms: VmWorld) {}

  static async open(
    furniture: Readonly<Record<string, Furniture>>,
    options: FakeSiteOptions = {},
  ): Promise<CloneWorld> {
    const names = Object.keys(furniture);
    const world = new CloneWorld(await VmWorld.open(names, options));
    for (const name of names) await world.furnish(name, furniture[name]!);
    await world.vms.startInbox();
    return world;
  }

  get host() {
    return this.vms.host;
  }

  /** In the drive of each VM that has one. */
  get iso(): string {
    return this.host.path('datastore', 'a.iso');
  }

  /** Adds the volumes to the VM's domain, and writes in each what it is known by. */
  async furnish(name: string, { system, temporary, data, drive }: Furniture): Promise<void> {
    const root = this.domain(name).disks[0]!;
    const folder = path.dirname(root);
    const disks: string[] = [];
    if (system !== undefined) this.write(root, system);
    const add = (file: string, target: string, pattern: number) => {
      execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '1M']);
      this.write(file, pattern);
      disks.push(
        `<disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="${file}"/><target dev="${target}" bus="virtio"/></disk>`,
      );
    };
    const loadBase = path.basename(root, '.qcow2');
    if (temporary !== undefined) add(path.join(folder, `${loadBase}.tmp-scratch-g1.qcow2`), 'vdb', temporary);
    if (data !== undefined) add(path.join(folder, `${name}.data-home-g1.qcow2`), 'vdc', data);
    if (drive) {
      writeFileSync(this.iso, 'an ISO image');
      disks.push(
        `<disk type="file" device="cdrom"><driver name="qemu" type="raw"/><source file="${this.iso}"/><target dev="sda" bus="sata"/><readonly/></disk>`,
      );
    }
    if (disks.length === 0) return;
    await this.redefine(name, this.domain(name).xml.replace('</devices>', `${disks.join('\n')}\n</devices>`));
  }

  /** As an admin would with virsh. */
  async redefine(name: string, xml: string): Promise<void> {
    const file = this.host.path('xml', `${name}.draft`);
    writeFileSync(file, xml);
    await this.vms.virsh('define', file);
    rmSync(file);
  }

  domain(name: string) {
    return this.host.domain(this.vms.domainOf(name))!;
  }

  /** By target, in their order. */
  disks(name: string): Record<string, DiskFacts> {
    const found = [...this.domain(name).xml.matchAll(/<disk\b[^>]*device=['"]disk['"][\s\S]*?<\/disk>/g)];
    const pairs = found.map(([text]) => {
      const target = /<target\b[^>]*\bdev=['"]([^'"]*)/.exec(text)![1]!;
      return [target, this.look(/<source\b[^>]*\bfile=['"]([^'"]*)/.exec(text)![1]!)] as const;
    });
    return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  look(file: string): DiskFacts {
    const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', file]).toString()) as Record<
      string,
      unknown
    >;
    return {
      path: file,
      format: String(info.format),
      backing: (info['full-backing-filename'] as string | undefined) ?? null,
      backingFormat: (info['backing-filename-format'] as string | undefined) ?? null,
      sizeBytes: Number(info['virtual-size']),
    };
  }

  /** The byte that fills the beginning of a volume. */
  static read(file: string, host: Pick<FakeHost, 'path'>): number {
    const raw = `${host.path('root')}/read-${path.basename(file)}`;
    execFileSync('qemu-img', ['convert', '-f', path.extname(file).slice(1), '-O', 'raw', file, raw]);
    const [first] = readFileSync(raw);
    rmSync(raw);
    return first!;
  }

  read(file: string): number {
    return CloneWorld.read(file, this.host);
  }

  contents(name: string): Record<string, number> {
    return Object.fromEntries(
      Object.entries(this.disks(name)).map(([target, { path: file }]) => [target, this.read(file)]),
    );
  }

  write(file: string, pattern: number): void {
    CloneWorld.write(file, pattern);
  }

  static write(file: string, pattern: number): void {
    execFileSync('qemu-io', ['-f', path.extname(file).slice(1), '-c', `write -P ${pattern} 0 64k`, file], {
      stdio: 'ignore',
    });
  }

  files(...folder: string[]): string[] {
    return this.host.files(...folder).filter((file) => !file.endsWith('.load') && !file.endsWith('.lock'));
  }

  /** All that the VM is: its definition and every byte of its disks. */
  whole(name: string): string {
    const sums = this.domain(name).disks.flatMap((file) =>
      existsSync(file) ? [readFileSync(file).toString('base64')] : [],
    );
    return [this.domain(name).xml, ...sums].join('\n');
  }

  do(kind: string, computer: string, more: object = {}) {
    return this.vms.do(kind, more, computer);
  }

  close(): Promise<void> {
    return this.vms.close();
  }
}
