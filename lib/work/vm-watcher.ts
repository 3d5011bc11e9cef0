/**
 * Keeps what is known of VMs true: states change behind our back. Each host with VMs of this node is listened to and
 * looked at now and then; the host wins, but never while an operation is under way, and never by its silence.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/config';
import { asProvisiondError } from '../errors';
import { type DomainEvent, listenTo } from '../libvirt/vm-events';
import { chooseDomain } from '../libvirt/vm';
import { type DomainFacts, isActive, lookAtVms, type VmSight } from '../libvirt/vm-sight';
import type { Host } from '../host/host';
import type { Log } from '../log';
import type { HostFacts } from '../model/reservation';
import { afterCrash } from '../model/vm-rules';
import type { VmRecords } from '../operations/vm-records';
import type { VmComputer } from '../store/operation-store';
import type { Lease, Store } from '../store/store';
import type { OperationInbox } from './operation-inbox';

/** Events come in swarms: a start is five of them. */
const GATHER_MS = 500;
/** Where libvirt is not listened to, it is asked more often; after a failure less and less so. */
const DEAF_MS = 3000;
const LONGEST_PAUSE_MS = 30_000;
/** So long definitions are believed to be what they were. */
const FORGET_MS = 10 * 60_000;

export interface WatcherParts {
  readonly store: Store;
  readonly config: Pick<Config, 'vmWatchIntervalMs'>;
  readonly hosts: { get(facts: HostFacts): Host };
  readonly records: VmRecords;
  readonly operations: Pick<OperationInbox, 'underWay' | 'generation'>;
}

export class VmWatcher {
  private readonly watches = new Map<number, HostWatch>();
  private readonly stopping = new AbortController();
  private loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly parts: WatcherParts,
    private readonly lease: Lease,
    private readonly log: Log,
  ) {}

  start(): void {
    this.loop = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort(new Error('the watch is over'));
    await this.loop;
    await Promise.all([...this.watches.values()].map((watch) => watch.stop()));
  }

  /** Hosts come and go with the rows. */
  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      try {
        const computers = await this.parts.store.vmComputers(this.lease.managementNodeId);
        const hosts = new Map(computers.map(({ host }) => [host!.computerId, host!]));
        for (const [id, facts] of hosts) if (!this.watches.has(id)) this.begin(id, facts);
        for (const [id, watch] of this.watches) if (!hosts.has(id)) this.end(id, watch);
      } catch (error) {
        this.log.debug('the VMs to watch could not be read', { error });
      }
      await sleep(this.parts.config.vmWatchIntervalMs, undefined, { signal }).catch(() => {});
    }
  }

  private begin(id: number, facts: HostFacts): void {
    const watch = new HostWatch(this.parts, this.lease, this.log.child({ host: facts.shortName }), id);
    this.watches.set(id, watch);
    watch.start();
  }

  private end(id: number, watch: HostWatch): void {
    this.watches.delete(id);
    void watch.stop();
  }
}

/** What events told of a domain since the last look. */
interface Told {
  exit?: DomainEvent['exit'];
  started?: boolean;
}

/** One host: an ear, and a look whenever there is a reason. */
class HostWatch {
  private readonly stopping = new AbortController();
  private readonly told = new Map<string, Told>();
  private known = new Map<string, DomainFacts>();
  private knownSince = performance.now();
  private listening = false;
  private failures = 0;
  private wake = () => {};
  private wanted = false;
  private work: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly parts: WatcherParts,
    private readonly lease: Lease,
    private readonly log: Log,
    private readonly hostId: number,
  ) {}

  start(): void {
    this.work = Promise.all([this.listen(), this.look()]);
  }

  async stop(): Promise<void> {
    this.stopping.abort(new Error('the watch is over'));
    this.wake();
    await this.work;
  }

  private computers(): Promise<VmComputer[]> {
    return this.parts.store.vmComputers(this.lease.managementNodeId, this.hostId);
  }

  private async listen(): Promise<void> {
    const { signal } = this.stopping;
    for (let failures = 0; !signal.aborted;) {
      try {
        const [computer] = await this.computers();
        if (computer) {
          const onReady = () => {
            [this.listening, failures] = [true, 0];
            this.lookSoon();
          };
          const onEvent = (event: DomainEvent) => this.hear(event);
          await listenTo(this.parts.hosts.get(computer.host!), { onReady, onEvent }, signal);
        }
      } catch (error) {
        if (!signal.aborted && failures === 0) this.log.debug('libvirt cannot be listened to', { error });
      }
      this.listening = false;
      this.lookSoon();
      failures += 1;
      const pauseMs = Math.min(LONGEST_PAUSE_MS, 1000 * 2 ** Math.min(failures - 1, 5));
      await sleep(pauseMs, undefined, { signal }).catch(() => {});
    }
  }

  private hear({ domain, exit, started }: DomainEvent): void {
    const before = this.told.get(domain) ?? {};
    this.told.set(domain, { exit: exit ?? before.exit, started: started || before.started });
    this.lookSoon();
  }

  private lookSoon(): void {
    this.wanted = true;
    this.wake();
  }

  private async look(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      this.wanted = false;
      await this.lookOnce().catch((error: unknown) => {
        if (!signal.aborted) this.log.debug('what is known of VMs could not be kept', { error });
      });
      if (!this.wanted) await this.pause(this.pauseMs());
      await sleep(GATHER_MS, undefined, { signal }).catch(() => {});
    }
  }

  private pauseMs(): number {
    if (this.failures > 0) return Math.min(LONGEST_PAUSE_MS, DEAF_MS * 2 ** Math.min(this.failures - 1, 4));
    return this.listening
      ? this.parts.config.vmWatchIntervalMs
      : Math.min(DEAF_MS, this.parts.config.vmWatchIntervalMs);
  }

  private async pause(milliseconds: number): Promise<void> {
    const woken = new AbortController();
    this.wake = () => woken.abort();
    if (this.stopping.signal.aborted || this.wanted) return;
    await sleep(milliseconds, undefined, { signal: woken.signal }).catch(() => {});
  }

  private async lookOnce(): Promise<void> {
    const before = await this.computers();
    const facts = before[0]?.host;
    if (!facts) return;
    const { operations, hosts } = this.parts;
    const generations = new Map(before.map(({ id }) => [id, operations.generation(id)]));
    const told = new Map(this.told);
    this.told.clear();
    const seen = await this.ask(hosts.get(facts));
    for (const computer of await this.computers()) {
      // An operation knows better what it does, and writes it down itself.
      const isBusy = operations.underWay(computer.id).length > 0;
      if (isBusy || operations.generation(computer.id) !== generations.get(computer.id)) continue;
      if (seen === 'silent') await this.parts.records.record(this.lease, computer, 'silent');
      else await this.keep(computer, seen, told);
    }
  }

  /** @returns `silent`: the host or its libvirt could not be asked */
  private async ask(host: Host): Promise<readonly VmSight[] | 'silent'> {
    if (performance.now() - this.knownSince > FORGET_MS) {
      this.known = new Map();
      this.knownSince = performance.now();
    }
    try {
      const sights = await lookAtVms(host, this.known, this.stopping.signal);
      this.known = new Map(sights.map((sight) => [sight.uuid, sight]));
      if (this.failures > 0) this.log.info('the power of its VMs is known again');
      this.failures = 0;
      return sights;
    } catch (thrown) {
      this.stopping.signal.throwIfAborted();
      const error = asProvisiondError(thrown, 'asking for the power of VMs');
      if (this.failures++ === 0) this.log.warn('the power of its VMs is not known', { error });
      return 'silent';
    }
  }

  private async keep(computer: VmComputer, sights: readonly VmSight[], told: ReadonlyMap<string, Told>): Promise<void> {
    const { records } = this.parts;
    const owner = { computer, managementNodeId: this.lease.managementNodeId };
    const seen = chooseDomain(owner, sights, () => sights.find(({ uuid }) => uuid === computer.known?.uuid) ?? null);
    const news = (seen && told.get(seen.name)) ?? {};
    const exit = news.exit ?? undefined;
    // An end that was followed by a new life is in the history all the same.
    if (seen && exit !== undefined && isActive(seen) && seen.words.state !== 'crashed') {
      const text = `${seen.name} ended (${exit}) and was started again`;
      await this.parts.store.tellVmEvents([{ computerId: computer.id, operationId: null, kind: 'state', text }]);
    }
    if (seen) await this.answerCrash(computer, seen);
    const started = news.started && seen && isActive(seen) ? true : undefined;
    if (seen && exit !== 'crashed') await this.clearTemporaries(computer, seen);
    await records.record(this.lease, computer, seen, { ...(exit && { exit }), ...(started && { started }) });
  }

  /** A guest that went off by itself leaves temporary volumes behind; whatever else stops one empties them itself. */
  private async clearTemporaries({ known, id }: VmComputer, seen: VmSight): Promise<void> {
    const wasUp = known !== null && ['Running', 'Paused', 'Crashed'].includes(known.powerState);
    if (!wasUp || isActive(seen) || seen.hasManagedSave) return;
    // The definition may be an older one: what is believed of it is forgotten only now and then.
    const volumes = await this.parts.store.volumesOf(id);
    if (!volumes.some(({ type }) => type === 'temporary')) return;
    const requestedBy = 'provisiond (the guest went off)';
    await this.parts.store.askForOperation({ kind: 'clear_temporary', computerId: id, requestedBy });
  }

  /** Asked for before the row says that it crashed: who dies in between asks again, with the same key. */
  private async answerCrash(computer: VmComputer, { uuid, words, domainId }: VmSight): Promise<void> {
    const { known, afterCrash: policy, id } = computer;
    const was = known?.powerState;
    const isCrashed = words.state === 'crashed' && was !== 'Crashed';
    const isGone = words.state === 'shut off' && words.reason === 'crashed' && (was === 'Running' || was === 'Paused');
    if (!isCrashed && !isGone) return;
    const answer = afterCrash(policy, isCrashed ? 'Crashed' : 'Halted', known?.secondsUp ?? null);
    this.log.warn(`guest ${computer.shortName} crashed`, { policy, follows: answer?.kind ?? null });
    if (answer === null) return;
    const { kind, coreDump } = answer;
    const hour = new Date().toISOString().slice(0, 13);
    const idempotencyKey = `after crash ${uuid} ${domainId ?? known?.secondsUp ?? 0} ${hour}`;
    const requestedBy = `provisiond (after a crash: ${policy})`;
    await this.parts.store.askForOperation({
      ...{ kind, computerId: id, requestedBy, idempotencyKey },
      ...(coreDump && { arguments: { coreDump } }),
    });
  }
}
