/**
 * Looks for plugin files, judges them, and loads what is new or was changed.
 *
 * Files are compiled from the very bytes that were judged, not through the module cache: a changed file is simply
 * loaded again, and nothing is left of the old one. (`.ts` files, when the daemon itself runs from source under a
 * loader that understands them, go through `require`, as Node 20 alone cannot read them.)
 */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import vm from 'node:vm';
import { describeError } from '../errors';
import type { Log } from '../log';
import { SYNC_LIMIT_MS, confine } from './confinement';
import { type Trust, type TrustedFile, judgeFile, programTrust, strictTrust, trustOfOwner } from './file-trust';
import { type PluginKind, type PluginOf, judgeShape } from './plugin-shape';

/** One file of a plugin folder and what became of it. */
export interface Verdict {
  readonly kind: PluginKind;
  readonly file: string;
  readonly accepted: boolean;
  /** The plugin's own name; null when it could not be learnt. */
  readonly name: string | null;
  readonly description: string | null;
  /** Why not; null when accepted. */
  readonly reason: string | null;
}

export interface LoadedPlugin<K extends PluginKind> {
  readonly kind: K;
  readonly file: string;
  readonly version: string;
  readonly plugin: PluginOf<K>;
}

export interface PluginFolder {
  readonly path: string;
  readonly trust: Trust;
  /** The configuration names it: that it is missing is worth a word. */
  readonly configured: boolean;
}

/** In the program, and in each folder of `pluginDirs`. */
export const FOLDER_NAMES: Readonly<Record<PluginKind, { readonly builtIn: string; readonly configured: string }>> = {
  driver: { builtIn: 'drivers', configured: 'drivers' },
  'os-module': { builtIn: 'os-modules', configured: 'os-modules' },
  'predictive-module': { builtIn: path.join('lib', 'predictive'), configured: 'predictive' },
};

/** Running from TypeScript source: only then is there a loader for `.ts`. */
const FROM_SOURCE = __filename.endsWith('.ts');

/** The root of the built tree (`dist`) or of the sources, and the package around `dist`: `drivers/` of both count. */
function programRoots(): string[] {
  const root = path.resolve(__dirname, '..', '..');
  return path.basename(root) === 'dist' ? [root, path.dirname(root)] : [root];
}

/** The built-in folders first, then those of the configuration in its order. */
export function pluginFolders(kind: PluginKind, pluginDirs: readonly string[]): PluginFolder[] {
  const { builtIn, configured } = FOLDER_NAMES[kind];
  return [
    ...programRoots().map((root) => ({ path: path.join(root, builtIn), trust: programTrust(root), configured: false })),
    ...pluginDirs.map((dir) => ({ path: path.join(dir, configured), trust: strictTrust(), configured: true })),
  ];
}

type Loaded = { readonly exported: unknown } | { readonly reason: string };

/** Finds and loads the plugins of one kind. */
export class PluginLoader<K extends PluginKind> {
  /** What each version of a file exported: files are run once a version. */
  private readonly loaded = new Map<string, { readonly version: string; readonly outcome: Loaded }>();
  /** The last word on each file, so that it is said once. */
  private readonly told = new Map<string, string>();

  constructor(
    private readonly kind: K,
    private readonly folders: readonly PluginFolder[],
    private readonly log: Log,
  ) {}

  /** Looks at the folders again; costs a few `stat` calls when nothing was changed. Never throws for a file. */
  look(): { plugins: LoadedPlugin<K>[]; verdicts: Verdict[] } {
    const plugins = new Map<string, LoadedPlugin<K>>();
    const verdicts: Verdict[] = [];
    for (const { folder, name } of this.files()) {
      const verdict = this.judge(folder, name, plugins);
      verdicts.push(verdict);
      this.tell(verdict);
    }
    this.forgetGone(new Set(verdicts.map(({ file }) => file)));
    return { plugins: [...plugins.values()], verdicts };
  }

  /**
   * Judges one file as if it lay in a folder of `pluginDirs`.
   * @param trust who may own and write it; null: whoever does, to learn what else there is to say
   */
  examine(file: string, trust: Trust | null): { verdict: Verdict; loaded: LoadedPlugin<K> | null } {
    const folder = { path: path.dirname(file), trust: trust ?? trustOfOwner(file), configured: true };
    const plugins = new Map<string, LoadedPlugin<K>>();
    const verdict = this.judge(folder, path.basename(file), plugins);
    return { verdict, loaded: [...plugins.values()][0] ?? null };
  }

  private files(): { folder: PluginFolder; name: string }[] {
    return this.folders.flatMap((folder) =>
      readFolder(folder.path)
        .filter(isCandidate)
        .sort()
        .map((name) => ({ folder, name })),
    );
  }

  private judge(folder: PluginFolder, name: string, plugins: Map<string, LoadedPlugin<K>>): Verdict {
    const file = path.join(folder.path, name);
    const verdict = { kind: this.kind, file, accepted: false, name: null, description: null };
    let trusted: ReturnType<typeof judgeFile>;
    try {
      trusted = judgeFile(folder.path, name, folder.trust);
    } catch (error) {
      return { ...verdict, reason: `cannot be read: ${describeError(error)}` };
    }
    if ('reason' in trusted) return { ...verdict, reason: trusted.reason };
    const { version } = trusted;
    const outcome = this.load(trusted);
    if ('reason' in outcome) return { ...verdict, reason: outcome.reason };
    const reason = judgeShape(this.kind, outcome.exported);
    if (reason !== null) return { ...verdict, reason };
    const plugin = outcome.exported as PluginOf<K>;
    const known = { ...verdict, name: plugin.name, description: plugin.description ?? null };
    const taken = plugins.get(plugin.name);
    if (taken) return { ...known, reason: `the name '${plugin.name}' is taken by ${taken.file}` };
    plugins.set(plugin.name, { kind: this.kind, file, version, plugin });
    return { ...known, accepted: true, reason: null };
  }

  private load(file: TrustedFile): Loaded {
    const known = this.loaded.get(file.path);
    if (known?.version === file.version) return known.outcome;
    let outcome: Loaded;
    try {
      outcome = { exported: confine(file.path, SYNC_LIMIT_MS, () => runFile(file)) };
    } catch (error) {
      outcome = { reason: `failed when it was loaded: ${explainLoadError(error)}` };
    }
    this.loaded.set(file.path, { version: file.version, outcome });
    return outcome;
  }

  private tell({ file, accepted, name, reason }: Verdict): void {
    const version = this.loaded.get(file)?.version ?? '';
    const word = `${version} ${reason ?? ''}`;
    if (this.told.get(file) === word) return;
    this.told.set(file, word);
    if (accepted) this.log.info(`${this.kind} '${name}' is loaded from ${file}`);
    else this.log.warn(`${this.kind} ${file} is not used: ${reason}`);
  }

  private forgetGone(present: ReadonlySet<string>): void {
    for (const file of [...this.told.keys()]) {
      if (present.has(file)) continue;
      this.told.delete(file);
      this.loaded.delete(file);
      this.log.info(`${this.kind} ${file} is gone`);
    }
  }
}

function readFolder(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Plain files of the folder by extension; helper files go into sub-folders. Dot files are editors' leftovers. */
function isCandidate(name: string): boolean {
  if (name.startsWith('.')) return false;
  if (/\.c?js$/.test(name)) return true;
  return FROM_SOURCE && name.endsWith('.ts') && !name.endsWith('.d.ts');
}

function runFile(file: TrustedFile): unknown {
  const exported = file.path.endsWith('.ts') ? requireAgain(file.path) : compile(file.path, file.readText());
  return typeof exported === 'object' && exported !== null && 'default' in exported ? exported.default : exported;
}

function requireAgain(file: string): unknown {
  const require = createRequire(__filename);
  delete require.cache[file];
  return require(file);
}

type Wrapper = (exports: object, require: NodeJS.Require, module: object, file: string, folder: string) => void;

function compile(file: string, text: string): unknown {
  const parameters = ['exports', 'require', 'module', '__filename', '__dirname'];
  const wrapper = vm.compileFunction(text.replace(/^#!/, '//'), parameters, { filename: file }) as Wrapper;
  const module = { exports: {}, id: file, filename: file };
  wrapper.call(module.exports, module.exports, createRequire(file), module, file, path.dirname(file));
  return module.exports;
}

/** Errors of a plugin may come from another realm, so `instanceof` says nothing. */
function explainLoadError(error: unknown): string {
  const message = messageOf(error);
  if (/Unexpected token 'export'|import statement outside a module/.test(message)) {
    return `${message} (ES module syntax; write module.exports = {…} instead)`;
  }
  return message;
}

function messageOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message);
  return describeError(error);
}
