import { ProvisiondError } from '../errors';
import type { Verdict } from './loader';

export interface PluginInUse<P> {
  readonly file: string;
  readonly version: string;
  /** Guarded: every hook has its limits and its blame. */
  readonly plugin: P;
}

/** A file that would have been it, by its name or its file name, but was rejected, is the better explanation. */
export function missingPlugin(
  code: 'OS_MODULE_NOT_FOUND' | 'DRIVER_NOT_FOUND' | 'PREDICTIVE_MODULE_NOT_FOUND',
  what: string,
  name: string,
  known: { readonly inUse: readonly PluginInUse<{ name: string }>[]; readonly verdicts: readonly Verdict[] },
): ProvisiondError {
  const rejected = known.verdicts.find((verdict) => !verdict.accepted && isCalled(verdict, name));
  if (rejected)
    return new ProvisiondError('PLUGIN_REJECTED', `${what} is not used: ${rejected.file}: ${rejected.reason}`);
  const names = known.inUse.map(({ plugin }) => plugin.name).join(', ') || 'none';
  return new ProvisiondError(code, `${what} is not there; there are: ${names}`);
}

function isCalled(verdict: Verdict, name: string): boolean {
  const fileName = verdict.file.split('/').pop()!;
  return verdict.name === name || fileName.replace(/\.(c?js|ts)$/, '') === name;
}
