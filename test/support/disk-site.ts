/** A real site with guests of 512 bytes, for tests of what is in their disks: bytes that qemu-io writes and reads. */
import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from '@jest/globals';
import type { OperationDetails } from '../../lib/store/vm-front-end';
import { eventually, Site } from './site';
import { bootSector, defineTinyGuest, type Manners } from './tiny-guest';

export const MIB = 1 << 20;
/** Behind the boot sector. */
const AT = 2 * MIB;

export class DiskSite {
  private readonly domains = new Map<string, string>();

  private constructor(readonly site: Site) {}

  /** The image is of 8 MiB and boots an obedient guest. */
  static async open(computers: number): Promise<DiskSite> {
    const settings = { guestShutdownTimeoutMs: 20_000, startProofMs: 1000 };
    const site = await Site.open({ computers: Array.from({ length: computers }, () => ({})), settings });
    const raw = path.join(site.folder, 'image.raw');
    writeFileSync(raw, Buffer.concat([bootSector('obedient'), Buffer.alloc(8 * MIB - 512)]));
    rmSync(site.masterFile, { force: true });
    execFileSync('qemu-img', ['convert', '-O', 'qcow2', raw, site.masterFile]);
    chmodSync(site.masterFile, 0o444);
    return new DiskSite(site);
  }

  /** A VM on the image, as a load leaves it, off. */
  async furnish(computer: string, manners: Manners = 'obedient'): Promise<void> {
    const earlier = this.domains.get(computer);
    if (earlier !== undefined) {
      await this.site.virsh('destroy', earlier).catch(() => {});
      await this.site.virsh('undefine', earlier, '--managed-save', '--snapshots-metadata');
    }
    this.domains.set(computer, await defineTinyGuest(this.site, computer, manners));
    const [disk] = await this.disks(computer);
    rmSync(disk!);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', this.site.masterFile, disk!]);
  }

  domain(computer: string): string {
    return this.domains.get(computer)!;
  }

  definition(computer: string): Promise<string> {
    return this.site.virsh('dumpxml', '--inactive', this.domain(computer));
  }

  async redefine(computer: string, edit: (xml: string) => string): Promise<void> {
    const file = path.join(this.site.folder, `${computer}.xml`);
    writeFileSync(file, edit(await this.definition(computer)));
    await this.site.virsh('define', file);
  }

  /** Of the hard disks, in the order of the definition. */
  async disks(computer: string): Promise<string[]> {
    const blocks = (await this.definition(computer)).match(/<disk[^>]*device='disk'[\s\S]*?<\/disk>/g) ?? [];
    return blocks.map((block) => /<source file='([^']*)'/.exec(block)![1]!);
  }

  async state(computer: string): Promise<string> {
    return (await this.site.virsh('domstate', this.domain(computer))).trim();
  }

  async do(computer: string, kind: string, more: object = {}): Promise<OperationDetails> {
    return this.ended(await this.ask(computer, kind, more));
  }

  ask(computer: string, kind: string, more: object = {}): Promise<OperationDetails> {
    return this.site.frontEnd.addOperation({ kind, computer, arguments: more, requestedBy: 'the test' });
  }

  async ended({ id }: { readonly id: number }): Promise<OperationDetails> {
    await eventually(async () => (await this.site.frontEnd.showOperation(id)).ended !== null, 120);
    return this.site.frontEnd.showOperation(id);
  }

  /** It goes well. */
  async well(computer: string, kind: string, more: object = {}): Promise<OperationDetails> {
    const operation = await this.do(computer, kind, more);
    expect([kind, operation.error]).toEqual([kind, null]);
    return operation;
  }

  unfinished(): string[] {
    return [this.site.vms, this.site.datastore].flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.part')),
    );
  }
}

export const io = (file: string, command: string): string =>
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, file], { encoding: 'utf8' });

/** Fills a MiB, behind the boot sector. */
export const fill = (file: string, pattern: number): string => io(file, `write -P ${pattern} ${AT} ${MIB}`);

/** The byte at the place that {@link fill} writes to, also while a guest has the disk open. */
export function byteIn(file: string): number {
  const argv = ['-r', '-U', '-f', 'qcow2', '-c', `read -v ${AT} 512`, file];
  return parseInt(execFileSync('qemu-io', argv, { encoding: 'utf8' }).split('\n')[0]!.split(/\s+/)[1]!, 16);
}
