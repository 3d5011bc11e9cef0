/**
 * Every call into a plugin: a time limit, an abort signal, a logger with the plugin's name, and the blame where it
 * belongs. Plugins are handed out guarded (`guardDriver`, `guardOsModule` …), so no caller can forget.
 */
import { CATALOGUE, type ErrorCode, ProvisiondError } from '../errors';
import type { HypervisorDriver, OsModule, PluginLogger, PredictiveDecision, PredictiveModule } from './api';
import { SYNC_LIMIT_MS, SyncLimitError, confine } from './confinement';
import type { LoadedPlugin } from './loader';
import { type PluginKind, hookNames } from './plugin-shape';

export interface HookLimits {
  readonly hookTimeoutMs: number;
  /** How long a hook may take to notice that it was told to stop. Default 2000. */
  readonly graceMs?: number;
}

type AnyPlugin = LoadedPlugin<PluginKind>;
const DEFAULT_GRACE_MS = 2000;
/** A probe only asks; hookTimeoutMs has room for the copy of an image. */
const PROBE_LIMIT_MS = 60_000;

/**
 * Calls a hook that may take its time.
 * @param call given the signal that is aborted when the time is over or `signal` is
 * @throws PLUGIN_TIMEOUT; PLUGIN_FAILED with the cause; a ProvisiondError of a context verb unchanged; the reason of
 *   `signal` when that was aborted, after the hook had `graceMs` to come to an end
 */
export async function callHook<T>(
  loaded: AnyPlugin,
  hook: string,
  limits: HookLimits,
  signal: AbortSignal | undefined,
  call: (signal: AbortSignal) => Promise<T> | T,
): Promise<T> {
  signal?.throwIfAborted();
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(timeoutError(loaded, hook, limits.hookTimeoutMs)), limits.hookTimeoutMs);
  const stop = signal ? AbortSignal.any([signal, timeout.signal]) : timeout.signal;
  const stopped = rejectWhenStopped(stop, limits.graceMs ?? DEFAULT_GRACE_MS);
  try {
    const syncLimitMs = Math.min(SYNC_LIMIT_MS, limits.hookTimeoutMs);
    const work = confine(loaded.file, syncLimitMs, () => call(stop));
    return await Promise.race([work, stopped.promise]);
  } catch (thrown) {
    if (stop.aborted) throw stop.reason;
    throw blamePlugin(loaded, hook, thrown);
  } finally {
    clearTimeout(timer);
    stopped.cancel();
  }
}

/**
 * Calls a hook that must answer at once.
 * @throws PLUGIN_TIMEOUT, PLUGIN_FAILED, a ProvisiondError of a context verb unchanged
 */
export function callSyncHook<T>(loaded: AnyPlugin, hook: string, limits: HookLimits, call: () => T): T {
  try {
    return confine(loaded.file, Math.min(SYNC_LIMIT_MS, limits.hookTimeoutMs), call);
  } catch (thrown) {
    throw blamePlugin(loaded, hook, thrown);
  }
}

function rejectWhenStopped(signal: AbortSignal, graceMs: number): { promise: Promise<never>; cancel: () => void } {
  let timer: NodeJS.Timeout | undefined;
  let begin: () => void = () => {};
  const promise = new Promise<never>((_resolve, reject) => {
    begin = () => (timer = setTimeout(() => reject(signal.reason as Error), graceMs));
    signal.addEventListener('abort', begin, { once: true });
  });
  const cancel = () => {
    signal.removeEventListener('abort', begin);
    clearTimeout(timer);
  };
  return { promise, cancel };
}

function describeHook({ kind, plugin, file }: AnyPlugin, hook: string): string {
  return `${hook} of ${kind} '${plugin.name}' (${file})`;
}

function timeoutError(loaded: AnyPlugin, hook: string, limitMs: number): ProvisiondError {
  const details = { plugin: loaded.plugin.name, file: loaded.file, hook };
  return new ProvisiondError('PLUGIN_TIMEOUT', `${describeHook(loaded, hook)} took longer than ${limitMs} ms`, {
    details,
  });
}

/**
 * Turns what a plugin threw into what the daemon acts on. A plugin has no class of ours to throw, so it may say whom
 * its error concerns with a code of the catalogue: `Object.assign(new Error('…'), { code: 'REQUEST_INVALID' })`.
 */
function blamePlugin(loaded: AnyPlugin, hook: string, thrown: unknown): ProvisiondError {
  if (thrown instanceof ProvisiondError) return thrown;
  const details = { plugin: loaded.plugin.name, file: loaded.file, hook };
  if (thrown instanceof SyncLimitError) {
    return new ProvisiondError('PLUGIN_TIMEOUT', describeHook(loaded, hook), { cause: thrown, details });
  }
  const code = codeOf(thrown);
  if (code !== null) return new ProvisiondError(code, messageOf(thrown), { cause: undefined, details });
  return new ProvisiondError('PLUGIN_FAILED', `${describeHook(loaded, hook)} failed`, {
    cause: asError(thrown),
    details,
  });
}

function codeOf(thrown: unknown): ErrorCode | null {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return null;
  const { code } = thrown;
  if (typeof code !== 'string' || !Object.hasOwn(CATALOGUE, code)) return null;
  return CATALOGUE[code as ErrorCode].blame === 'daemon' ? null : (code as ErrorCode);
}

function messageOf(thrown: unknown): string {
  return typeof thrown === 'object' && thrown !== null && 'message' in thrown ? String(thrown.message) : String(thrown);
}

/** An error of another realm is no `Error` to us, and its message would be lost in the chain. */
function asError(thrown: unknown): unknown {
  if (thrown instanceof Error || typeof thrown !== 'object' || thrown === null) return thrown;
  return new Error(messageOf(thrown));
}

// ------------------------------------------------------------------------------------------------ guarded plugins

/** The driver with every hook guarded. */
export function guardDriver(loaded: LoadedPlugin<'driver'>, limits: HookLimits): HypervisorDriver {
  const { plugin } = loaded;
  const { domainType } = plugin;
  const asking = { ...limits, hookTimeoutMs: Math.min(limits.hookTimeoutMs, PROBE_LIMIT_MS) };
  const guarded: HypervisorDriver = {
    ...data(plugin),
    domainType:
      typeof domainType === 'function'
        ? (host) => callHook(loaded, 'domainType', asking, undefined, () => domainType.call(plugin, host))
        : domainType,
    probe: (host) => callHook(loaded, 'probe', asking, undefined, () => plugin.probe(host)),
  };
  if (plugin.extendDomainXml) {
    guarded.extendDomainXml = (xml, context) =>
      callSyncHook(loaded, 'extendDomainXml', limits, () => {
        const copy = structuredClone(xml);
        const extended = plugin.extendDomainXml!(copy, confineContext(loaded, context, context.signal));
        if (typeof extended?.domain !== 'object')
          throw new Error('must return the tree { domain: … } that is to be defined');
        return extended;
      });
  }
  if (plugin.defaultBoot) {
    guarded.defaultBoot = (reservation) =>
      callSyncHook(loaded, 'defaultBoot', limits, () => plugin.defaultBoot!(reservation));
  }
  if (plugin.consoleLog) {
    guarded.consoleLog = (name) =>
      callSyncHook(loaded, 'consoleLog', limits, () => checkPath(plugin.consoleLog!(name)));
  }
  for (const hook of ['preDefine', 'preStart', 'removeDisks'] as const) {
    if (!plugin[hook]) continue;
    guarded[hook] = (context) =>
      callHook(loaded, hook, limits, context.signal, (signal) =>
        plugin[hook]!(confineContext(loaded, context, signal)),
      );
  }
  return guarded;
}

function checkPath(file: unknown): string {
  if (typeof file === 'string' && file.startsWith('/')) return file;
  throw new Error('must return an absolute path');
}

/** The OS module with every stage guarded. */
export function guardOsModule(loaded: LoadedPlugin<'os-module'>, limits: HookLimits): OsModule {
  const { plugin } = loaded;
  const guarded: Record<string, unknown> = { ...data(plugin) };
  for (const hook of hookNames('os-module')) {
    const stage = (plugin as unknown as Record<string, unknown>)[hook];
    if (typeof stage !== 'function') continue;
    guarded[hook] = (context: HookContext) =>
      callHook(loaded, hook, limits, context.signal, (signal) =>
        (stage as (context: HookContext) => unknown).call(plugin, confineContext(loaded, context, signal)),
      );
  }
  return guarded as unknown as OsModule;
}

/** The predictive module with its hook guarded and its answer checked. */
export function guardPredictiveModule(loaded: LoadedPlugin<'predictive-module'>, limits: HookLimits): PredictiveModule {
  const { plugin } = loaded;
  const asking = { ...limits, hookTimeoutMs: Math.min(limits.hookTimeoutMs, PROBE_LIMIT_MS) };
  return {
    ...data(plugin),
    decide: (context) =>
      callHook(loaded, 'decide', asking, context.signal, async (signal) =>
        checkDecision(await plugin.decide(confineContext(loaded, context, signal))),
      ),
  };
}

function checkDecision(decision: PredictiveDecision): PredictiveDecision {
  if (decision?.action === 'unload') return { action: 'unload' };
  const { id, revisionId } = (decision?.action === 'reload' && decision.image) || { id: NaN, revisionId: NaN };
  if (Number.isSafeInteger(id) && Number.isSafeInteger(revisionId)) {
    return { action: 'reload', image: { id, revisionId } };
  }
  throw new Error("must return { action: 'unload' } or { action: 'reload', image: { id, revisionId } }");
}

interface HookContext {
  readonly signal: AbortSignal;
  readonly log: PluginLogger;
}

/** The same context with the signal and the logger of this call. Contexts are plain objects (api.ts). */
function confineContext<C extends HookContext>(loaded: AnyPlugin, context: C, signal: AbortSignal): C {
  return { ...context, signal, log: nameInLog(loaded.plugin.name, context.log) };
}

function nameInLog(plugin: string, log: PluginLogger): PluginLogger {
  return {
    debug: (message, details) => log.debug(message, { ...details, plugin }),
    info: (message, details) => log.info(message, { ...details, plugin }),
    warn: (message, details) => log.warn(message, { ...details, plugin }),
    error: (message, details) => log.error(message, { ...details, plugin }),
  };
}

function data<P extends object>(plugin: P): P {
  return Object.fromEntries(Object.entries(plugin).filter(([, value]) => typeof value !== 'function')) as P;
}
