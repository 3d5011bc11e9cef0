/** VMs of a fake world, with the inbox of operations as the daemon has it: domains that a load would have left. */
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { METADATA_NAMESPACE } from '../../lib/model/identity';
import type { Condition } from '../../lib/model/vm-states';
import { VmRecords } from '../../lib/operations/vm-records';
import type { Lease } from '../../lib/store/store';
import type { OperationDetails } from '../../lib/store/vm-front-end';
import { OperationInbox } from '../../lib/work/operation-inbox';
import { eventually } from './eventually';
import type { FakeHost } from './fake-host';
import { VmWatcher } from '../../lib/work/vm-watcher';
import { FakeSite, type FakeSiteOptions } from './fake-site';

export class VmWorld {
  private readonly inboxes: OperationInbox[] = [];
  private watcher: VmWatcher | undefined;
  inbox!: OperationInbox;
  lease: Lease;

  private constructor(readonly site: FakeSite) {
    this.lease = site.lease;
  }

  /** @param names of the computers, each with a domain that is off */
  static async open(names: readonly string[] = ['vm1'], options: FakeSiteOptions = {}): Promise<VmWorld> {
    const computers = names.map((name, index) => ({ name, privateIp: `192.168.121.${11 + index}` }));
    const settings = { guestShutdownTimeoutMs: 4000, startProofMs: 0, ...options.settings };
    const world = new VmWorld(await FakeSite.open({ ...options, computers, settings }));
    for (const name of names) await world.define(name);
    return world;
  }

  get host() {
    return this.site.host;
  }

  /** The inbox of a daemon; another one is that of its successor, under a lease of its own. */
  async startInbox(): Promise<OperationInbox> {
    const { site } = this;
    if (this.inboxes.length > 0) this.lease = (await site.store.acquireLease(site.managementNodeId, 'test', 3600))!;
    const { config, store, hosts } = site.adapters();
    this.inbox = new OperationInbox({ config, store, hosts }, new VmRecords(store, site.log), this.lease, site.log);
    this.inboxes.push(this.inbox);
    this.inbox.start();
    return this.inbox;
  }

  /** What keeps the rows true, as the daemon has it; after {@link startInbox}. */
  startWatcher(vmWatchIntervalMs = 60_000): VmWatcher {
    const { store, hosts } = this.site.adapters();
    const records = new VmRecords(store, this.site.log);
    const parts = { store, hosts, records, config: { vmWatchIntervalMs }, operations: this.inbox };
    this.watcher = new VmWatcher(parts, this.lease, this.site.log);
    this.watcher.start();
    return this.watcher;
  }

  domainOf(computer: string): string {
    return `${computer}_TinyLinux_${this.site.image.imageId}-v0`;
  }

  /** Another computer, with a domain that is off. */
  async add(name: string): Promise<void> {
    await this.site.addComputer({ name, privateIp: `192.168.121.${100 + Number(/\d+$/.exec(name)?.[0] ?? 0)}` });
    await this.define(name);
    // It holds what its row says.
    const { imageId, revisionId } = this.site.image;
    const holds = 'update computer set currentimageid = ?, imagerevisionid = ? where hostname = ?';
    await this.site.database.change(holds, [imageId, revisionId, name]);
  }

  async define(computer: string): Promise<void> {
    const { site, host } = this;
    const { imageId, revisionId, fileName } = site.image;
    const { id } = await site.computer(computer);
    const disk = host.path('vms', `${computer}_${imageId}-v0.qcow2`);
    const base = host.path('datastore', `${fileName}.qcow2`);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base, disk]);
    const identity = {
      ...{ managementNodeId: site.managementNodeId, computerId: id, computerName: computer, requestId: 0 },
      ...{ reservationId: 0, imageId, imageRevisionId: revisionId, imageName: fileName, loadId: 'fake' },
    };
    const attributes = Object.entries(identity).map(([key, value]) => `${key}="${value}"`);
    const file = host.path('xml', `${computer}.draft`);
    writeFileSync(
      file,
      `<domain type="qemu">
  <name>${this.domainOf(computer)}</name>
  <metadata><provisiond:identity xmlns:provisiond="${METADATA_NAMESPACE}" ${attributes.join(' ')}/></metadata>
  <memory unit="MiB">64</memory><vcpu>1</vcpu><os><type>hvm</type></os><features><acpi/></features>
  <devices>
    <disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="${disk}"/><target dev="vda" bus="virtio"/></disk>
  </devices>
</domain>
`,
    );
    await host.run(['virsh', 'define', file]);
    rmSync(file);
  }

  virsh(...argv: string[]) {
    return this.host.run(['virsh', '-q', ...argv], { expect: 'any' });
  }

  /** Whatever it is, it is in that condition afterwards; nothing of its past is left but its snapshots. */
  async bring(computer: string, condition: Condition): Promise<void> {
    const name = this.domainOf(computer);
    await this.virsh(`destroy ${name}; managedsave-remove ${name}`);
    if (condition === 'Halted') return;
    await this.virsh('start', name);
    await bringRunning(this.host, name, condition);
  }

  /** What the host has of it, in words of the table. */
  condition(computer: string): Condition {
    const domain = this.host.domain(this.domainOf(computer))!;
    switch (domain.state) {
      case 'shut off':
        return domain.hasManagedSave ? 'Suspended' : 'Halted';
      case 'paused':
        return 'Paused';
      case 'crashed':
        return 'Crashed';
      case 'pmsuspended':
        return 'Asleep';
      default:
        return 'Running';
    }
  }

  async ask(kind: string, more: object = {}, computer: string | null = 'vm1'): Promise<OperationDetails> {
    return this.site.frontEnd.addOperation({ kind, computer, arguments: more, requestedBy: 'the test' });
  }

  async ended({ id }: { readonly id: number }, seconds = 30): Promise<OperationDetails> {
    let operation!: OperationDetails;
    const hasEnded = async () => (operation = await this.site.frontEnd.showOperation(id)).ended !== null;
    await eventually(hasEnded, seconds, () => `operation ${id} (${operation.kind}) is at '${operation.step}'`);
    return operation;
  }

  async do(kind: string, more: object = {}, computer = 'vm1'): Promise<OperationDetails> {
    return this.ended(await this.ask(kind, more, computer));
  }

  /** Until an operation has come to a step. */
  async reached({ id }: { readonly id: number }, step: string): Promise<void> {
    let operation!: OperationDetails;
    const complaint = () => `operation ${id} is ${operation.state} at '${operation.step}', not at '${step}'`;
    const isThere = async () => {
      operation = await this.site.frontEnd.showOperation(id);
      if (operation.step !== step && operation.ended !== null) throw new Error(complaint());
      return operation.step === step;
    };
    await eventually(isThere, 30, complaint);
  }

  async close(): Promise<void> {
    await this.watcher?.stop();
    await Promise.all(this.inboxes.map((inbox) => inbox.stop('the test is over')));
    await this.site.close();
  }
}

/** What a machine may come into behind everybody's back; libvirt's Xen driver has its own word for one that crashed. */
export type Odd = Exclude<Condition, 'Running'> | 'Crashed on Xen';

/** What runs is in that condition afterwards. */
export async function bringRunning(host: FakeHost, domain: string, condition: Condition | Odd): Promise<void> {
  const virsh = (verb: string) => host.run(['virsh', '-q', verb, domain]);
  if (condition === 'Halted') await virsh('destroy');
  if (condition === 'Paused') await virsh('suspend');
  if (condition === 'Suspended') await virsh('managedsave');
  if (condition === 'Crashed') host.happen(domain, 'panic');
  if (condition === 'Crashed on Xen') host.happen(domain, 'panic on Xen');
  if (condition === 'Asleep') host.happen(domain, 'sleep');
}
