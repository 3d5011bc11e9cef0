/**
 * The plugins in use: looked at again as reservations come, handed out guarded, chosen without guessing.
 *
 * A reservation keeps the object it was given, so a file that is changed or removed concerns the next one only.
 */
import type { Config } from '../config/config';
import { ProvisiondError } from '../errors';
import type { Log } from '../log';
import type { HostFactsForDriver, HypervisorDriver, OsModule, PredictiveModule } from './api';
import { guardDriver, guardOsModule, guardPredictiveModule } from './call-hook';
import { ProbeMemory, chooseDriver } from './driver-choice';
import { type PluginInUse, missingPlugin } from './plugin-in-use';
import { type LoadedPlugin, type PluginFolder, PluginLoader, type Verdict, pluginFolders } from './loader';
import type { PluginKind } from './plugin-shape';

export type RegistryConfig = Pick<Config, 'pluginDirs' | 'osModules' | 'predictiveModules' | 'hookTimeoutMs'>;

export class PluginRegistry {
  private readonly driverFiles: Kind<'driver', HypervisorDriver>;
  private readonly osModuleFiles: Kind<'os-module', OsModule>;
  private readonly predictiveFiles: Kind<'predictive-module', PredictiveModule>;
  private readonly probes = new ProbeMemory();

  /** @param folders in place of the built-in and configured ones, for tests */
  constructor(
    private readonly config: RegistryConfig,
    private readonly log: Log,
    folders: Partial<Record<PluginKind, readonly PluginFolder[]>> = {},
  ) {
    const of = <K extends PluginKind>(kind: K) =>
      new PluginLoader(kind, folders[kind] ?? pluginFolders(kind, config.pluginDirs), log);
    this.driverFiles = new Kind(of('driver'), (loaded) => guardDriver(loaded, config));
    this.osModuleFiles = new Kind(of('os-module'), (loaded) => guardOsModule(loaded, config));
    this.predictiveFiles = new Kind(of('predictive-module'), (loaded) => guardPredictiveModule(loaded, config));
    this.refresh();
  }

  /** Looks at the folders again. Cheap: some `stat` calls when nothing was changed. Never throws for a bad file. */
  refresh(): void {
    this.driverFiles.refresh();
    this.osModuleFiles.refresh();
    this.predictiveFiles.refresh();
  }

  /** As of the last look. */
  drivers(): readonly PluginInUse<HypervisorDriver>[] {
    return this.driverFiles.inUse;
  }

  /** As of the last look. */
  osModules(): readonly PluginInUse<OsModule>[] {
    return this.osModuleFiles.inUse;
  }

  /** Every file of every folder, accepted or not, and why not. */
  verdicts(): readonly Verdict[] {
    return [this.driverFiles, this.osModuleFiles, this.predictiveFiles].flatMap(({ verdicts }) => verdicts);
  }

  /**
   * The driver for a host: the pinned one, else the only one whose probe agrees. Answers of probes are remembered per
   * host until the driver's file changes or {@link forgetHost}.
   * @param pinned name of the driver that the host's profile pins; null: ask all
   * @throws DRIVER_NOT_FOUND (what was tried and why not), DRIVER_AMBIGUOUS (names them), PLUGIN_REJECTED (the pinned
   *   driver's file is not used), and what asking the host throws
   */
  async chooseDriver(facts: HostFactsForDriver, pinned: string | null): Promise<HypervisorDriver> {
    this.driverFiles.refresh();
    const { inUse, verdicts } = this.driverFiles;
    return chooseDriver({ facts, pinned, drivers: inUse, verdicts, probes: this.probes, log: this.log });
  }

  /** Probe that host again next time: it was changed, or connected anew. */
  forgetHost(hostName: string): void {
    this.probes.forget(hostName);
  }

  /**
   * The OS module for an image, by `module.perlpackage` of its OS. What `osModules` of the configuration maps wins;
   * a package that it does not name is looked up by its parents (`VCL::Module::OS::Linux::Ubuntu` →
   * `VCL::Module::OS::Linux`), as VCL's classes inherit.
   * @throws OS_MODULE_NOT_FOUND, PLUGIN_REJECTED (its file is not used)
   */
  osModule(perlPackage: string): OsModule {
    const { osModules } = this.config;
    return moduleFor(perlPackage, osModules, this.osModuleFiles, 'OS module', 'OS_MODULE_NOT_FOUND');
  }

  /** The predictive module of a computer, by `predictiveModules`. @throws PREDICTIVE_MODULE_NOT_FOUND, PLUGIN_REJECTED */
  predictiveModule(perlPackage: string): PredictiveModule {
    const { predictiveModules } = this.config;
    const code = 'PREDICTIVE_MODULE_NOT_FOUND';
    return moduleFor(perlPackage, predictiveModules, this.predictiveFiles, 'predictive module', code);
  }
}

function moduleFor<K extends PluginKind, P extends { readonly name: string }>(
  perlPackage: string,
  map: Readonly<Record<string, string>>,
  files: Kind<K, P>,
  what: string,
  code: 'OS_MODULE_NOT_FOUND' | 'PREDICTIVE_MODULE_NOT_FOUND',
): P {
  files.refresh();
  const name = mappedName(map, perlPackage);
  if (name === undefined) {
    const mapped = Object.keys(map).join(', ') || 'none';
    throw new ProvisiondError(code, `no ${what} for ${perlPackage}; packages mapped: ${mapped}`);
  }
  const found = files.inUse.find(({ plugin }) => plugin.name === name);
  if (found) return found.plugin;
  throw missingPlugin(code, `${what} '${name}' for ${perlPackage}`, name, files);
}

/** Files of one kind and the guarded plugins made of them. */
class Kind<K extends PluginKind, P extends { readonly name: string }> {
  inUse: readonly PluginInUse<P>[] = [];
  verdicts: readonly Verdict[] = [];

  constructor(
    private readonly loader: PluginLoader<K>,
    private readonly guard: (loaded: LoadedPlugin<K>) => P,
  ) {}

  refresh(): void {
    const { plugins, verdicts } = this.loader.look();
    const before = this.inUse;
    this.inUse = plugins.map((loaded) => {
      const same = before.find(({ file, version }) => file === loaded.file && version === loaded.version);
      return same ?? { file: loaded.file, version: loaded.version, plugin: this.guard(loaded) };
    });
    this.verdicts = verdicts;
  }
}

function mappedName(map: Readonly<Record<string, string>>, perlPackage: string): string | undefined {
  const parts = perlPackage.split('::');
  for (let length = parts.length; length > 0; length--) {
    const key = parts.slice(0, length).join('::');
    if (Object.hasOwn(map, key)) return map[key];
  }
  return undefined;
}
