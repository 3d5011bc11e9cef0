/** A real site with guests of 512 bytes, for tests of what is in their disks: bytes that qemu-io writes and reads. */
import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { OperationDetails } from '../../lib/store/vm-front-end';
import { MIB } from './disk-bytes';
import { ask, ended, operate, well } from './operate';
import { Site } from './site';
import { bootSector, defineTinyGuest, type Manners } from './tiny-guest';

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

  do(computer: string, kind: string, more: object = {}): Promise<OperationDetails> {
    return operate(this.site, computer, kind, more);
  }

  ask(computer: string, kind: string, more: object = {}): Promise<OperationDetails> {
    return ask(this.site, computer, kind, more);
  }

  ended(operation: { readonly id: number }): Promise<OperationDetails> {
    return ended(this.site, operation);
  }

  /** It goes well. */
  well(computer: string, kind: string, more: object = {}): Promise<OperationDetails> {
    return well(this.site, computer, kind, more);
  }

  unfinished(): string[] {
    return [this.site.vms, this.site.datastore].flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.part')),
    );
  }
}
