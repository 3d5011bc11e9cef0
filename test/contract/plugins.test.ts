/** What every plugin must do, run on every plugin that is found, and on the examples of the READMEs as printed. */
import { afterAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { driverSubject, osModuleSubject, reviewPlugin } from '../../lib/cli/plugins-test';
import { skeletonOf } from '../../lib/cli/plugins-new';
import { LocalHost } from '../../lib/host/local-host';
import type { Guest, HypervisorDriver, OsContext, OsModule } from '../../lib/plugins/api';
import { driverChecks } from '../../lib/plugins/conformance/driver-checks';
import { osModuleChecks } from '../../lib/plugins/conformance/os-module-checks';
import { PluginRegistry } from '../../lib/plugins/registry';
import { MemoryLog } from '../fixtures/memory-log';
import { TestFolder } from '../fixtures/plugin-folder';
import { makeReservation } from '../fixtures/reservation';

const ROOT = path.resolve(__dirname, '../..');
const folders: TestFolder[] = [];
afterAll(() => folders.forEach((folder) => folder.remove()));

/** The first example of a README, in a file as an admin would make it. */
function exampleOf(readme: string): TestFolder {
  const text = fs.readFileSync(path.join(ROOT, readme), 'utf8');
  const folder = new TestFolder();
  folders.push(folder);
  folder.write('example.js', /```js\n(.*?)```/s.exec(text)![1]!);
  return folder;
}

const config = { pluginDirs: [], osModules: {}, predictiveModules: {}, hookTimeoutMs: 5000 };
const found = new PluginRegistry(config, new MemoryLog());
const examples = new PluginRegistry(config, new MemoryLog(), {
  driver: [exampleOf('drivers/README.md').asPluginFolder],
  'os-module': [exampleOf('os-modules/README.md').asPluginFolder],
  'predictive-module': [exampleOf('lib/predictive/README.md').asPluginFolder],
});

it('finds every built-in plugin fit for use', () => {
  expect(found.verdicts().filter(({ accepted }) => !accepted)).toEqual([]);
  expect(found.drivers().map(({ plugin }) => plugin.name)).toContain('kvm');
  expect(found.osModules().map(({ plugin }) => plugin.name)).toContain('linux');
});

it('takes the examples of the READMEs as they are printed', () => {
  expect(examples.verdicts().map(({ accepted, reason }) => ({ accepted, reason }))).toEqual([
    { accepted: true, reason: null },
    { accepted: true, reason: null },
    { accepted: true, reason: null },
  ]);
});

const host = new LocalHost({ name: 'here' });
afterAll(() => host.close());

describe.each([...found.drivers(), ...examples.drivers()].map(({ plugin }) => [plugin.name, plugin] as const))(
  'the driver %s',
  (_name, driver: HypervisorDriver) => {
    it.each(driverChecks.map((check) => [check.sentence, check] as const))('%s', (_sentence, check) =>
      check.run(driverSubject(driver, host)),
    );
  },
);

describe.each([...found.osModules(), ...examples.osModules()].map(({ plugin }) => [plugin.name, plugin] as const))(
  'the OS module %s',
  (_name, module: OsModule) => {
    it.each(osModuleChecks.map((check) => [check.sentence, check] as const))('%s', (_sentence, check) =>
      check.run(osModuleSubject(module, host)),
    );
  },
);

describe('a plugin that is not fit for use', () => {
  const folder = new TestFolder();
  folders.push(folder);
  const review = async (text: string) => {
    const { findings } = await reviewPlugin(folder.write('bad.js', text), undefined, 5000);
    return findings.filter(({ verdict }) => verdict !== 'passed').map(({ remark }) => remark);
  };
  const driver = (more: string) => `module.exports = { apiVersion: 1, name: 'bad', domainType: 'qemu',
    diskDriverName: 'qemu', diskFormats: ['qcow2'], probe: ({ domainTypes }) => ({ usable: domainTypes.length > 0, reason: 'r' }), ${more} }`;

  it.each([
    ['is no plugin', 'module.exports = 1', /exports/],
    [
      'claims every host',
      driver("probe: () => ({ usable: true, reason: '' })"),
      /claims a host whose libvirt offers no/,
    ],
    [
      'renames the domain',
      driver("extendDomainXml: ({ domain }) => ({ domain: { ...domain, name: [{ _: 'x' }] } })"),
      /<name>/,
    ],
    [
      'is moody',
      driver('extendDomainXml: ({ domain }) => ({ domain: { ...domain, title: [{ _: String(Math.random()) }] } })'),
      /differently/,
    ],
    [
      'writes what libvirt does not know',
      driver('extendDomainXml: ({ domain }) => ({ domain: { ...domain, wheel: [{}] } })'),
      /firmware, qcow2: /,
    ],
    ['throws', driver("preDefine() { throw new Error('oops') }"), /oops/],
    [
      'swallows errors',
      driver('async preDefine({ images }) { await images.ensureBase("qcow2").catch(() => {}) }'),
      /without|succeeds/,
    ],
    [
      'cannot be stopped',
      driver(
        'async preDefine({ images }) { images.ensureBase("qcow2").catch(() => {}); await new Promise((r) => setTimeout(r, 100)) }',
      ),
      /succeeds|all is well/,
    ],
  ])('because it %s is told so', async (_what, text, remark) => {
    expect((await review(text)).join('\n')).toMatch(remark);
  });

  it.each(['driver', 'os-module'] as const)('is not what the skeleton of a new %s makes', async (kind) => {
    const file = folder.write('new.js', skeletonOf(kind, 'new-one'));
    const { name, findings } = await reviewPlugin(file, kind, 5000);
    expect({ name, bad: findings.filter(({ verdict }) => verdict !== 'passed') }).toEqual({ name: 'new-one', bad: [] });
  });

  it('is told nothing when all is well', async () => {
    expect(await review(driver(''))).toEqual([]);
  });
});

describe('the OS module of the README', () => {
  const home = new TestFolder();
  folders.push(home);
  /** Runs scripts as a guest does, with a home of its own. */
  const guest: Guest = {
    address: 'here',
    script: (_name, text, args = [], input = '') => {
      const options = { input, env: { PATH: process.env.PATH, HOME: home.path }, encoding: 'utf8' } as const;
      const output = execFileSync('sh', ['-c', text, 'sh', ...args.map(String)], options);
      return Promise.resolve(
        Object.fromEntries([...output.matchAll(/^@@(\w+) (.*)$/gm)].map(([, name, value]) => [name!, value!])),
      );
    },
  };
  const context: OsContext = {
    reservation: makeReservation(),
    guest,
    log: new MemoryLog(),
    signal: new AbortController().signal,
  };

  it('remembers the image that was loaded', async () => {
    const module = examples.osModules()[0]!.plugin as Required<OsModule>;
    expect(await module.status(context)).toEqual({ imageRevisionId: null, postLoadDone: false, tainted: false });
    for (let repeat = 0; repeat < 2; repeat++) await module.postLoad(context);
    expect(await module.status(context)).toEqual({ imageRevisionId: 34, postLoadDone: true, tainted: false });
  });
});
