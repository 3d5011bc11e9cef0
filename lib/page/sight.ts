/**
 * What the page knows. Asked for at most once in a while, however many look at it, and not at all while nobody does.
 * Everything here is read; no password of a reservation leaves this folder's imports.
 */
import type { Config } from '../config/config';
import { describeError } from '../errors';
import type { HostPool, HostState } from '../host/host-pool';
import type { Log } from '../log';
import type { Health } from '../metrics/health';
import type { Verdict } from '../plugins/loader';
import type { PluginRegistry } from '../plugins/registry';
import type {
  ComputerSummary,
  FrontEnd,
  HostSummary,
  ImageSummary,
  ReservationDetails,
  ReservationSummary,
} from '../store/front-end';
import type { OperationDetails } from '../store/vm-front-end';
import { type HostLook, lookAtLoad } from './host-load';

export interface PageParts {
  readonly config: Config;
  readonly log: Log;
  readonly version: string;
  readonly frontEnd: FrontEnd;
  readonly store: { now(): Promise<string> };
  readonly hosts: HostPool;
  readonly node: { readonly hostname: string };
  readonly health: Health;
  readonly registry: () => PluginRegistry;
}

/** A host with what it was entered as, what we know of the way to it, and what it last said of itself. */
export interface SeenHost {
  readonly summary: HostSummary;
  readonly state: HostState | null;
  readonly computers: readonly ComputerSummary[];
  /** Null: not asked yet. A text: why it could not be asked. */
  readonly look: HostLook | string | null;
}

export type PublicDetails = Omit<ReservationDetails, 'password'>;

const ROWS_FRESH_MS = 800;
const HOSTS_FRESH_MS = 15_000;
/** The command line has all: provisiond vm operations. */
const SHOWN_OPERATIONS = 200;

export class Sight {
  private readonly looks = new Map<string, HostLook | string>();
  private readonly remembered = new Map<string, { at: number; value: Promise<unknown> }>();

  constructor(private readonly parts: PageParts) {}

  get about() {
    const { version, node, health, store, config } = this.parts;
    return { version, node: node.hostname, health: health.report(), now: () => store.now(), config };
  }

  reservations(): Promise<ReservationSummary[]> {
    return this.remember('reservations', ROWS_FRESH_MS, () => this.parts.frontEnd.listReservations());
  }

  /** What is under way, and what ended last. */
  operations(): Promise<OperationDetails[]> {
    return this.remember('operations', ROWS_FRESH_MS, () => this.parts.frontEnd.listOperations(SHOWN_OPERATIONS));
  }

  /** @throws REQUEST_NOT_FOUND */
  reservation(requestId: number): Promise<PublicDetails> {
    return this.remember(`request ${requestId}`, ROWS_FRESH_MS, async () => {
      const { password: _password, ...details } = await this.parts.frontEnd.show(requestId);
      return details;
    });
  }

  now(): Promise<string> {
    return this.remember('now', ROWS_FRESH_MS, () => this.parts.store.now());
  }

  images(): Promise<ImageSummary[]> {
    return this.remember('images', ROWS_FRESH_MS, () => this.parts.frontEnd.listImages());
  }

  plugins(): readonly Verdict[] {
    return this.parts.registry().verdicts();
  }

  async hosts(): Promise<SeenHost[]> {
    const [summaries, computers] = await Promise.all([
      this.remember('hosts', ROWS_FRESH_MS, () => this.parts.frontEnd.listHosts()),
      this.remember('computers', ROWS_FRESH_MS, () => this.parts.frontEnd.listComputers()),
    ]);
    void this.remember('looks', HOSTS_FRESH_MS, () => Promise.all(summaries.map((host) => this.look(host))));
    const states = this.parts.hosts.states();
    return summaries.map((summary) => ({
      summary,
      state: states.find(({ computerId }) => computerId === summary.computerId) ?? null,
      computers: computers.filter(({ host }) => host === summary.name),
      look: this.looks.get(summary.name) ?? null,
    }));
  }

  private async look({ name, facts }: HostSummary): Promise<void> {
    try {
      this.looks.set(name, await lookAtLoad(this.parts.hosts.get(facts), facts, this.parts.config.xmlDirectory));
    } catch (error) {
      this.looks.set(name, describeError(error));
    }
  }

  /** A failure is remembered as well: a database that is away is not asked more often for that. */
  private remember<T>(what: string, milliseconds: number, ask: () => Promise<T>): Promise<T> {
    const known = this.remembered.get(what);
    if (known && performance.now() - known.at < milliseconds) return known.value as Promise<T>;
    const value = ask();
    value.catch(() => {});
    if (this.remembered.size > 200) this.remembered.clear();
    this.remembered.set(what, { at: performance.now(), value });
    return value;
  }
}
