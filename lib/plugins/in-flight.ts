/**
 * What reservations began with: a plugin file that is changed or removed concerns the next reservation only. The states
 * of one (loading, waiting for its user, cleaning up) are jobs of their own, minutes or weeks apart, and a driver may
 * have to take back what it alone knows how to. A daemon that was started anew uses what is there then.
 */
import type { HostFactsForDriver, HypervisorDriver, OsModule } from './api';
import type { PluginRegistry } from './registry';

type Registry = Pick<PluginRegistry, 'chooseDriver' | 'osModule'>;

/** More than are in flight on a management node; of those beyond, the longest unused are as after a new start. */
const REMEMBERED = 1000;

interface Kept {
  readonly drivers: Map<string, HypervisorDriver>;
  readonly osModules: Map<string, OsModule>;
}

export class PluginsInFlight {
  private readonly kept = new Map<number, Kept>();

  constructor(private readonly registry: Registry) {}

  /** The registry as that reservation sees it. */
  of(reservationId: number): Registry {
    return {
      chooseDriver: async (facts, pinned) => this.driverOf(reservationId, facts, pinned),
      osModule: (perlPackage) => this.osModuleOf(reservationId, perlPackage),
    };
  }

  private async driverOf(reservationId: number, facts: HostFactsForDriver, pinned: string | null) {
    const { drivers } = this.recall(reservationId);
    const key = `${facts.host.name} ${pinned ?? ''}`; // another host, or another pin, is another choice
    const driver = drivers.get(key) ?? (await this.registry.chooseDriver(facts, pinned));
    drivers.set(key, driver);
    return driver;
  }

  private osModuleOf(reservationId: number, perlPackage: string): OsModule {
    const { osModules } = this.recall(reservationId);
    const module = osModules.get(perlPackage) ?? this.registry.osModule(perlPackage);
    osModules.set(perlPackage, module);
    return module;
  }

  private recall(reservationId: number): Kept {
    const kept = this.kept.get(reservationId) ?? { drivers: new Map(), osModules: new Map() };
    this.kept.delete(reservationId);
    this.kept.set(reservationId, kept); // the longest unused come first
    if (this.kept.size > REMEMBERED) this.kept.delete(this.kept.keys().next().value!);
    return kept;
  }
}
