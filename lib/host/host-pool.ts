/** The VM hosts of this daemon: one adapter each, for as long as the host is reached in the same way. */
import type { HostFacts } from '../model/reservation';
import type { WayState } from './circuit-breaker';
import type { ClosableHost, Host } from './host';
import { LocalHost } from './local-host';
import { Slots } from './slots';
import { SshHost } from './ssh-host';

export interface HostPoolOptions {
  /** Private keys for all hosts, tried in this order. */
  readonly keyFiles: readonly string[];
  readonly maxLoadsPerHost: number;
  readonly connectTimeoutMs?: number;
  readonly commandTimeoutMs?: number;
  readonly maxChannels?: number;
}

interface PooledHost extends ClosableHost {
  readonly busy: boolean;
  readonly way: WayState;
}

/** A host as metrics and the page see it. */
export interface HostState {
  readonly computerId: number;
  readonly name: string;
  readonly way: WayState;
  /** Loads that run and that wait, and how many may run at once. */
  readonly loads: { readonly taken: number; readonly waiting: number; readonly limit: number };
}

interface Entry {
  readonly way: string;
  readonly host: PooledHost;
}

export class HostPool {
  #options: HostPoolOptions;
  readonly #hosts = new Map<number, Entry>();
  readonly #loadSlots = new Map<number, Slots>();
  readonly #retired = new Set<PooledHost>();

  constructor(options: HostPoolOptions) {
    this.#options = options;
  }

  /** The host; a new one when the way to it changed, while commands on the old one come to their end. */
  get(facts: HostFacts): Host {
    const way = JSON.stringify([facts.address, facts.shortName, wayOf(facts)]);
    const known = this.#hosts.get(facts.computerId);
    if (known?.way === way) return known.host;
    if (known) this.#retire(known.host);
    const host = this.#make(facts);
    this.#hosts.set(facts.computerId, { way, host });
    return host;
  }

  /** How many loads may run at once on the host; the others wait in their order. */
  loadSlots(facts: HostFacts): Slots {
    const limit = facts.connection.maxLoads ?? this.#options.maxLoadsPerHost;
    const slots = this.#loadSlots.get(facts.computerId) ?? new Slots(limit);
    if (slots.limit !== limit) slots.setLimit(limit);
    this.#loadSlots.set(facts.computerId, slots);
    return slots;
  }

  /** For connections made from now on; the limit of loads at once. */
  configure(options: HostPoolOptions): void {
    this.#options = options;
  }

  /** The hosts that were asked something since the start. */
  states(): HostState[] {
    return [...this.#hosts].map(([computerId, { host }]) => {
      const { taken = 0, waiting = 0, limit = this.#options.maxLoadsPerHost } = this.#loadSlots.get(computerId) ?? {};
      return { computerId, name: host.name, way: host.way, loads: { taken, waiting, limit } };
    });
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    const hosts = [...[...this.#hosts.values()].map((entry) => entry.host), ...this.#retired];
    this.#hosts.clear();
    this.#retired.clear();
    await Promise.all(hosts.map((host) => host.close()));
  }

  #make(facts: HostFacts): PooledHost {
    const { transport, port, user, hostKey } = facts.connection;
    const { commandTimeoutMs } = this.#options;
    if (transport === 'local') return new LocalHost({ name: facts.shortName, commandTimeoutMs });
    const { keyFiles, connectTimeoutMs, maxChannels } = this.#options;
    const way = { name: facts.shortName, address: facts.address, port, user, hostKey, keyFiles };
    return new SshHost({ ...way, connectTimeoutMs, commandTimeoutMs, maxChannels });
  }

  #retire(host: PooledHost): void {
    this.#retired.add(host);
    const closeWhenIdle = () => {
      if (!this.#retired.has(host)) return;
      if (host.busy) setTimeout(closeWhenIdle, 1_000).unref();
      else void host.close().finally(() => this.#retired.delete(host));
    };
    closeWhenIdle();
  }
}

/** What of the connection decides how the host is reached; its driver and limits do not. */
function wayOf({ connection }: HostFacts): unknown[] {
  return [connection.transport, connection.port, connection.user, connection.hostKey];
}
