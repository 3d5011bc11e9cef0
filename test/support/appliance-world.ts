/** VMs of a fake world in an appliance named `shop`, and what is asked of it. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Instance } from '../../lib/model/instance';
import type { Condition } from '../../lib/model/vm-states';
import { CloneWorld, type Furniture } from './clone-world';
import type { FakeSiteOptions } from './fake-site';

/** Machines of tests do other things as well. */
const PATIENCE_SECONDS = 100;

export const SHOP = 'shop';

export class ApplianceWorld {
  private constructor(readonly clones: CloneWorld) {}

  static async open(furniture: Readonly<Record<string, Furniture>>, options: FakeSiteOptions = {}) {
    const world = new ApplianceWorld(await CloneWorld.open(furniture, options));
    const { site } = world.clones.vms;
    const { imageId, revisionId } = site.image;
    await site.database.change(
      "update computer set currentimageid = ?, imagerevisionid = ? where hostname like 'vm%'",
      [...[imageId, revisionId]],
    );
    await site.frontEnd.createAppliance(SHOP);
    await site.frontEnd.addToAppliance(SHOP, Object.keys(furniture));
    return world;
  }

  get site() {
    return this.clones.vms.site;
  }

  get host() {
    return this.clones.host;
  }

  get master() {
    return this.site.image;
  }

  get masterFile(): string {
    return this.host.path('datastore', `${this.master.fileName}.qcow2`);
  }

  async ask(kind: string, more: object = {}) {
    return this.clones.vms.ask(kind, { appliance: SHOP, ...more }, null);
  }

  async capture(more: object = {}) {
    return this.clones.vms.ended(await this.ask('capture_instances', more), PATIENCE_SECONDS);
  }

  async deploy(more: object = {}) {
    return this.clones.vms.ended(await this.ask('deploy_appliance', more), PATIENCE_SECONDS);
  }

  /** An operation that is about no VM and no appliance. */
  async operate(kind: string, more: object) {
    return this.clones.vms.ended(await this.clones.vms.ask(kind, more, null), PATIENCE_SECONDS);
  }

  domainOf(name: string): string {
    return this.clones.vms.domainOf(name);
  }

  private markOf(name: string, what: string): string {
    return this.host.path('domains', this.domainOf(name), what);
  }

  /** Of the VM's domain: `agent`, there is one in its guest; `block-job`, one is at work on its disks. */
  mark(name: string, what: 'agent' | 'block-job'): void {
    writeFileSync(this.markOf(name, what), '');
  }

  unmark(name: string, what: 'agent' | 'block-job'): void {
    rmSync(this.markOf(name, what));
  }

  isMarked(name: string, what: string): boolean {
    return existsSync(this.markOf(name, what));
  }

  /** What the agent of a guest was told to do. */
  agentHeard(name: string): string[] {
    return readFileSync(this.markOf(name, 'agent'), 'utf8').split('\n').filter(Boolean);
  }

  snapshotsIn(file: string): unknown[] {
    const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', file], { encoding: 'utf8' })) as {
      snapshots?: unknown[];
    };
    return info.snapshots ?? [];
  }

  instances() {
    return this.site.frontEnd.listInstances();
  }

  async deployed(): Promise<Record<string, boolean>> {
    const { vms } = await this.site.frontEnd.showAppliance(SHOP);
    return Object.fromEntries(vms.map(({ computer, deployed }) => [computer, deployed]));
  }

  async imageOf(name: string): Promise<string | null> {
    const { vms } = await this.site.frontEnd.showAppliance(SHOP);
    return vms.find(({ computer }) => computer === name)!.image;
  }

  /** The byte that fills the beginning of each file of an instance. */
  contentsOf({ files }: Pick<Instance, 'files'>): Record<string, number> {
    return Object.fromEntries(files.map(({ volume, path }) => [volume, this.clones.read(path)]));
  }

  sum(file: string): string {
    return execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64);
  }

  bring(name: string, condition: Condition): Promise<void> {
    return this.clones.vms.bring(name, condition);
  }

  condition(name: string): Condition {
    return this.clones.vms.condition(name);
  }

  do(kind: string, computer: string, more: object = {}) {
    return this.clones.do(kind, computer, more);
  }

  contents(name: string): Record<string, number> {
    return this.clones.contents(name);
  }

  disks(name: string) {
    return this.clones.disks(name);
  }

  look(file: string) {
    return this.clones.look(file);
  }

  write(file: string, pattern: number): void {
    this.clones.write(file, pattern);
  }

  whole(name: string): string {
    return this.clones.whole(name);
  }

  files(...folder: string[]): string[] {
    return this.clones.files(...folder);
  }

  close(): Promise<void> {
    return this.clones.close();
  }
}
