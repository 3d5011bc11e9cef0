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

  /** The registry as that reservation sees it. */
  of(reservationId: number, registry: Registry): Registry {
    return {
      chooseDriver: async (facts, pinned) => this.driverOf(this.recall(reservationId), registry, facts, pinned),
      osModule: (perlPackage) => this.osModuleOf(this.recall(reservationId), registry, perlPackage),
    };
  }

  private async driverOf({ drivers }: Kept, registry: Registry, facts: HostFactsForDriver, pinned: string | null) {
    const key = `${facts.host.name} ${pinned ?? ''}`; // another host, or another pin, is another choice
    const driver = drivers.get(key) ?? (await registry.chooseDriver(facts, pinned));
    drivers.set(key, driver);
    return driver;
  }

  private osModuleOf({ osModules }: Kept, registry: Registry, perlPackage: string): OsModule {
    const module = osModules.get(perlPackage) ?? registry.osModule(perlPackage);
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
