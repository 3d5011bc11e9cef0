import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fs from 'node:fs';
import { ProvisiondError } from '../../../lib/errors';
import { documentedDefault } from '../../../lib/config/schema';
import type { DriverContext, HostFactsForDriver, PredictiveContext } from '../../../lib/plugins/api';
import { PluginRegistry } from '../../../lib/plugins/registry';
import { MemoryLog } from '../../fixtures/memory-log';
import { TestFolder, driverText } from '../../fixtures/plugin-folder';

const OS_MODULES = { 'VCL::Module::OS::Linux': 'linux', 'VCL::Module::OS::Windows': 'windows' };
const host = (name = 'host1') => ({ host: { name }, domainTypes: ['kvm'] }) as unknown as HostFactsForDriver;

describe('choosing a driver for a host', () => {
  let folder: TestFolder;
  let registry: PluginRegistry;

  beforeEach(() => {
    folder = new TestFolder();
    const config = { pluginDirs: [], osModules: OS_MODULES, predictiveModules: {}, hookTimeoutMs: 200 };
    const none = { path: folder.file('none'), trust: folder.asPluginFolder.trust, configured: true };
    registry = new PluginRegistry(config, new MemoryLog(), { driver: [folder.asPluginFolder], 'os-module': [none] });
  });
  afterEach(() => folder.remove());

  const probing = (name: string, body: string) =>
    folder.write(`${name}.js`, driverText(name).replace(/probe: .*, $/m, `probe(host) { ${body} },`));
  const choose = async (pinned: string | null = null) => (await registry.chooseDriver(host(), pinned)).name;

  it('takes the only one that says it can, dropped in at any time', async () => {
    probing('no', `return { usable: false, reason: 'wrong machine' };`);
    await expect(choose()).rejects.toMatchObject({ code: 'DRIVER_NOT_FOUND' });
    probing('yes', `return { usable: host.domainTypes.includes('kvm'), reason: 'has kvm' };`);
    expect(await choose()).toBe('yes');
  });

  it('says of every driver why not when there is none, of rejected files too', async () => {
    probing('no', `return { usable: false, reason: 'wrong machine' };`);
    probing('broken', `throw new Error('typo');`);
    folder.write('bad.js', 'nonsense(');
    const message = /no driver for host host1: .*broken.*typo; 'no': wrong machine; .*bad\.js is not used: failed when/;
    await expect(choose()).rejects.toThrow(message);
  });

  it('names both when two can, and how to pin one', async () => {
    folder.write('one.js', driverText('one'));
    folder.write('two.js', driverText('two'));
    const error = { code: 'DRIVER_AMBIGUOUS', hint: expect.stringContaining('provisiond host add host1 --driver two') };
    await expect(choose()).rejects.toMatchObject(error);
    await expect(choose()).rejects.toThrow(`'one' (${folder.file('one.js')}) and 'two' (${folder.file('two.js')})`);
    expect(await choose('two')).toBe('two');
  });

  it('does not ask a pinned driver, and explains one that is missing or rejected', async () => {
    probing('picky', `return { usable: false, reason: 'never' };`);
    expect(await choose('picky')).toBe('picky');
    await expect(choose('nowhere')).rejects.toThrow(/'nowhere', pinned for host host1, is not there; there are: picky/);
    folder.write('sick.js', 'nonsense(');
    await expect(choose('sick')).rejects.toMatchObject({ code: 'PLUGIN_REJECTED' });
  });

  it('is not stopped by a driver that hangs, which is asked again next time', async () => {
    probing('hangs', `return new Promise(() => {});`);
    folder.write('good.js', driverText('good'));
    expect(await choose()).toBe('good');
  });

  it('goes on when a hook ends the process, at once or later', async () => {
    folder.write(
      'ends.js',
      driverText('ends', `preDefine: () => { setTimeout(() => process.exit(8), 5); process.exit(9); }`),
    );
    const driver = await registry.chooseDriver(host(), null);
    const context = { log: new MemoryLog(), signal: new AbortController().signal } as unknown as DriverContext;
    const cause = { message: 'called process.exit, which would end the daemon' };
    await expect(driver.preDefine!(context)).rejects.toMatchObject({ code: 'PLUGIN_FAILED', cause });
    await new Promise((resolve) => setTimeout(resolve, 50));
  });

  it('takes no answer of a host that cannot be asked for a no', async () => {
    probing('asks', `return host.host.run();`);
    const cutOff = new ProvisiondError('HOST_UNREACHABLE', 'cut off');
    folder.write('good.js', driverText('good'));
    const gone = { host: { name: 'host1', run: () => Promise.reject(cutOff) } };
    await expect(registry.chooseDriver(gone as unknown as HostFactsForDriver, null)).rejects.toBe(cutOff);
  });

  it('asks a host once, until the file changes, the host is told to be asked again, or nobody can', async () => {
    const trace = folder.file('trace');
    const count = () => fs.readFileSync(trace, 'utf8').length;
    const body = `require('fs').appendFileSync(${JSON.stringify(trace)}, '.');`;
    probing('x', `${body} return { usable: true, reason: '' };`);
    await Promise.all([choose(), choose()]);
    await choose();
    expect(count()).toBe(1);
    registry.forgetHost('host1');
    await choose();
    expect(count()).toBe(2);
    probing('x', `${body} return { usable: false, reason: 'changed' };`);
    await expect(choose()).rejects.toThrow('changed');
    await expect(choose()).rejects.toThrow('changed');
    expect(count()).toBe(4);
  });
});

describe('choosing an OS module for an image', () => {
  let folder: TestFolder;
  let registry: PluginRegistry;

  beforeEach(() => {
    folder = new TestFolder();
    const config = { pluginDirs: [], osModules: OS_MODULES, predictiveModules: {}, hookTimeoutMs: 200 };
    registry = new PluginRegistry(config, new MemoryLog(), { driver: [], 'os-module': [folder.asPluginFolder] });
    folder.write('linux.js', `module.exports = { apiVersion: 1, name: 'linux' };`);
  });
  afterEach(() => folder.remove());

  it('goes by the map of the configuration, and by the parents of a package that it does not name', () => {
    expect(registry.osModule('VCL::Module::OS::Linux').name).toBe('linux');
    expect(registry.osModule('VCL::Module::OS::Linux::Ubuntu').name).toBe('linux');
  });

  it('says what is mapped when a package is not, and what is missing when it is', () => {
    expect(() => registry.osModule('VCL::Module::OS::LinuxLike')).toThrow(
      'no OS module for VCL::Module::OS::LinuxLike; packages mapped: VCL::Module::OS::Linux, VCL::Module::OS::Windows',
    );
    expect(() => registry.osModule('VCL::Module::OS::Windows')).toThrow(/OS module 'windows' .* there are: linux/);
    folder.write('windows.js', 'nonsense(');
    expect(() => registry.osModule('VCL::Module::OS::Windows')).toThrow(/windows\.js: failed when it was loaded/);
  });

  it('hands out the same module until its file changes', () => {
    const first = registry.osModule('VCL::Module::OS::Linux');
    expect(registry.osModule('VCL::Module::OS::Linux')).toBe(first);
    folder.write('linux.js', `module.exports = { apiVersion: 1, name: 'linux', description: 'new' };`);
    expect(registry.osModule('VCL::Module::OS::Linux')).not.toBe(first);
  });
});

describe('choosing a predictive module for a computer', () => {
  let folder: TestFolder;
  beforeEach(() => {
    folder = new TestFolder();
  });
  afterEach(() => folder.remove());

  const PACKAGE = 'VCL::Module::Predictive::Ours';
  const choose = (body: string, name = 'ours') => {
    folder.write('ours.js', `module.exports = { apiVersion: 1, name: '${name}', ${body} };`);
    const predictiveModules = { [PACKAGE]: 'ours' };
    const config = { pluginDirs: [], osModules: {}, predictiveModules, hookTimeoutMs: 200 };
    const folders = { 'predictive-module': [folder.asPluginFolder] };
    return new PluginRegistry(config, new MemoryLog(), folders).predictiveModule(PACKAGE);
  };
  const context = { signal: new AbortController().signal, log: new MemoryLog() } as unknown as PredictiveContext;

  it('takes the one that the configuration maps to its package', async () => {
    const module = choose(`decide: () => ({ action: 'reload', image: { id: 3, revisionId: 4, more: 1 } })`);
    expect(await module.decide(context)).toEqual({ action: 'reload', image: { id: 3, revisionId: 4 } });
  });

  it('refuses an answer that is none, and blames the module', async () => {
    const module = choose(`decide: () => ({ action: 'reload' })`);
    await expect(module.decide(context)).rejects.toMatchObject({ code: 'PLUGIN_FAILED' });
  });

  it('explains a file that has no hook to decide with', () => {
    expect(() => choose('guess: () => null')).toThrow(/decide is missing, must be a function/);
  });

  it('finds the built-in ones under the names of the default configuration', () => {
    const predictiveModules = documentedDefault('predictiveModules', { hostname: 'node', stateDir: '/' });
    const config = { pluginDirs: [], osModules: {}, predictiveModules, hookTimeoutMs: 200 };
    const registry = new PluginRegistry(config, new MemoryLog());
    const names = [0, 1, 2].map((level) => registry.predictiveModule(`VCL::Module::Predictive::Level_${level}`).name);
    expect(names).toEqual(['level-0', 'level-1', 'level-2']);
    const stranger = () => registry.predictiveModule('VCL::Module::Predictive::Other');
    expect(stranger).toThrow(expect.objectContaining({ code: 'PREDICTIVE_MODULE_NOT_FOUND' }));
  });
});
