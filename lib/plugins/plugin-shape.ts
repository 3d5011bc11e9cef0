/** What a plugin must look like: the checks after its file was loaded, in the order in which they are reported. */
import type { BootMethod } from '../model/boot';
import { API_VERSION, type HypervisorDriver, type OsModule, type PredictiveModule } from './api';

interface Plugins {
  driver: HypervisorDriver;
  'os-module': OsModule;
  'predictive-module': PredictiveModule;
}
export type PluginKind = keyof Plugins;
export type PluginOf<K extends PluginKind> = Plugins[K];

const NAME = /^[a-z][a-z0-9-]{0,31}$/;
const BOOT_METHODS: readonly string[] = ['firmware', 'uefi', 'kernel', 'bootloader'] satisfies BootMethod[];
const FORMAT = /^[a-z][a-z0-9]{0,15}$/;

const HOOKS: Readonly<
  Record<PluginKind, { readonly required: readonly string[]; readonly optional: readonly string[] }>
> = {
  driver: {
    required: ['probe'],
    optional: ['extendDomainXml', 'preDefine', 'preStart', 'removeDisks', 'defaultBoot', 'consoleLog'],
  },
  'os-module': {
    required: [],
    optional: [
      'status',
      'postLoad',
      'reserve',
      'setFixedAddress',
      'grantAccess',
      'updateCluster',
      'postReserve',
      'isUserConnected',
      'postInitialConnection',
      'sanitize',
      'postReservation',
      'notifyUser',
      'runScript',
      'reboot',
      'preCapture',
      'shutdown',
    ],
  },
  'predictive-module': { required: ['decide'], optional: [] },
};

const DATA: Readonly<Record<PluginKind, readonly string[]>> = {
  driver: ['apiVersion', 'name', 'description', 'domainType', 'diskDriverName', 'diskFormats', 'bootMethods'],
  'os-module': ['apiVersion', 'name', 'description', 'loginUser', 'shell'],
  'predictive-module': ['apiVersion', 'name', 'description'],
};

/**
 * @param exported what the file exports
 * @returns the reason why it is no plugin of that kind, null when it is one
 */
export function judgeShape(kind: PluginKind, exported: unknown): string | null {
  if (typeof exported !== 'object' || exported === null || Array.isArray(exported) || isEmpty(exported)) {
    return `exports ${describe(exported)} instead of an object: module.exports = { apiVersion: ${API_VERSION}, name: …}`;
  }
  const plugin = exported as Record<string, unknown>;
  return judgeVersion(plugin) ?? judgeName(plugin) ?? judgeData(kind, plugin) ?? judgeHooks(kind, plugin);
}

function judgeVersion({ apiVersion }: Record<string, unknown>): string | null {
  if (apiVersion === API_VERSION) return null;
  if (typeof apiVersion === 'number' && apiVersion > API_VERSION) {
    return `apiVersion ${apiVersion} is newer than this provisiond speaks (${API_VERSION}): update provisiond`;
  }
  return `apiVersion is ${describe(apiVersion)}, must be ${API_VERSION}`;
}

function judgeName({ name, description }: Record<string, unknown>): string | null {
  if (typeof name !== 'string' || !NAME.test(name)) {
    return `name is ${describe(name)}, must be lower case letters, digits and hyphens, a letter first, 32 at most`;
  }
  if (description !== undefined && typeof description !== 'string') return 'description must be a text';
  return null;
}

function judgeData(kind: PluginKind, plugin: Record<string, unknown>): string | null {
  if (kind === 'predictive-module') return null;
  if (kind === 'os-module') {
    const { loginUser, shell } = plugin;
    if (shell !== undefined && shell !== 'sh' && shell !== 'powershell') {
      return `shell is ${describe(shell)}, must be 'sh' or 'powershell'`;
    }
    const fine = loginUser === undefined || (typeof loginUser === 'string' && loginUser !== '');
    return fine ? null : `loginUser is ${describe(loginUser)}, must be an account name`;
  }
  const { domainType, diskDriverName, diskFormats } = plugin;
  if (typeof domainType !== 'function' && (typeof domainType !== 'string' || domainType === '')) {
    return `domainType is ${describe(domainType)}, must be a word such as 'kvm' or a function of the host`;
  }
  if (typeof diskDriverName !== 'string' || diskDriverName === '') {
    return `diskDriverName is ${describe(diskDriverName)}, must be a word such as 'qemu'`;
  }
  const formats: unknown[] = Array.isArray(diskFormats) ? diskFormats : [];
  if (formats.length === 0 || !formats.every((format) => typeof format === 'string' && FORMAT.test(format))) {
    return `diskFormats is ${describe(diskFormats)}, must be a list such as ['qcow2']`;
  }
  const { bootMethods } = plugin;
  if (bootMethods === undefined) return null;
  const known = Array.isArray(bootMethods) && bootMethods.every((method) => BOOT_METHODS.includes(method as string));
  return known ? null : `bootMethods is ${describe(bootMethods)}, must be a list of ${BOOT_METHODS.join(', ')}`;
}

function judgeHooks(kind: PluginKind, plugin: Record<string, unknown>): string | null {
  const { required, optional } = HOOKS[kind];
  for (const hook of required) {
    if (typeof plugin[hook] !== 'function') return `${hook} is ${describe(plugin[hook])}, must be a function`;
  }
  for (const hook of optional) {
    const value = plugin[hook];
    if (value !== undefined && typeof value !== 'function') return `${hook} is ${describe(value)}, must be a function`;
  }
  return judgeUnknown(kind, plugin);
}

/** A hook under a misspelt name would never be called, and nobody would know. */
function judgeUnknown(kind: PluginKind, plugin: Record<string, unknown>): string | null {
  const known = [...DATA[kind], ...hookNames(kind)];
  for (const [key, value] of Object.entries(plugin)) {
    if (typeof value !== 'function' || known.includes(key)) continue;
    return `${key} is no hook of this kind of plugin; there are: ${hookNames(kind).join(', ')}`;
  }
  return null;
}

export function hookNames(kind: PluginKind): readonly string[] {
  return [...HOOKS[kind].required, ...HOOKS[kind].optional];
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (typeof value === 'string') return `'${value.slice(0, 60)}'`;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'function') return 'a function';
  return isEmpty(value) ? 'nothing' : 'an object';
}
