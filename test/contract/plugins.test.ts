/** What every plugin must do, run on every plugin that is found, and on the examples of the READMEs as printed. */
import { afterAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { parseXml } from '../../lib/libvirt/xml';
import type {
  DomainXml,
  DriverContext,
  Guest,
  HostFactsForDriver,
  HypervisorDriver,
  ImageVerbs,
  OsContext,
  OsModule,
} from '../../lib/plugins/api';
import { FROM_DISK } from '../../lib/model/boot';
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

const config = { pluginDirs: [], osModules: {}, hookTimeoutMs: 5000 };
const found = new PluginRegistry(config, new MemoryLog());
const examples = new PluginRegistry(config, new MemoryLog(), {
  driver: [exampleOf('drivers/README.md').asPluginFolder],
  'os-module': [exampleOf('os-modules/README.md').asPluginFolder],
});

/** Disks as a map from path to what they stand on. */
class DiskWorld implements ImageVerbs {
  readonly disks = new Map<string, string>();

  ensureBase = (format: string) => {
    const base = `/images/base.${format}`;
    this.disks.set(base, 'image');
    return Promise.resolve({ path: base, format, virtualSizeBytes: 1 << 20 });
  };
  createOverlay = (base: { path: string }, disk: { path: string }) => this.make(disk.path, `overlay of ${base.path}`);
  copyBase = (base: { path: string }, disk: { path: string }) => this.make(disk.path, `copy of ${base.path}`);

  private make(disk: string, what: string): Promise<void> {
    if (!this.disks.has(disk)) this.disks.set(disk, what);
    return Promise.resolve();
  }
}

function facts(domainTypes: string[]): HostFactsForDriver {
  const kvmWorks = () => Promise.resolve(domainTypes.includes('kvm'));
  return { host: { name: 'host1' }, capabilities: {}, domainTypes, kvmWorks } as unknown as HostFactsForDriver;
}

function driverContext(format: string, images: ImageVerbs): DriverContext {
  return {
    reservation: makeReservation(),
    host: facts(['qemu', 'kvm', 'xen']),
    boot: FROM_DISK,
    disk: { path: `/vms/vm1_12-v2.${format}`, format },
    images,
    log: new MemoryLog(),
    signal: new AbortController().signal,
  } as unknown as DriverContext;
}

function domainTree(type: string): DomainXml {
  const text = `<domain type="${type}"><name>vm1</name><cpu mode="maximum"/><devices><disk/></devices></domain>`;
  return parseXml(text, 'the test domain') as unknown as DomainXml;
}

it('finds every built-in plugin fit for use', () => {
  expect(found.verdicts().filter(({ accepted }) => !accepted)).toEqual([]);
  expect(found.drivers().map(({ plugin }) => plugin.name)).toContain('kvm');
  expect(found.osModules().map(({ plugin }) => plugin.name)).toContain('linux');
});

it('takes the examples of the READMEs as they are printed', () => {
  expect(examples.verdicts().map(({ accepted, reason }) => ({ accepted, reason }))).toEqual([
    { accepted: true, reason: null },
    { accepted: true, reason: null },
  ]);
});

describe.each([...found.drivers(), ...examples.drivers()].map(({ plugin }) => [plugin.name, plugin] as const))(
  'the driver %s',
  (_name, driver: HypervisorDriver) => {
    it('claims no host that offers nothing, and says why', async () => {
      const { usable, reason } = await driver.probe(facts([]));
      expect({ usable, reason }).toEqual({ usable: false, reason: expect.stringMatching(/\w/) });
    });

    it('names a domain type that it has', async () => {
      const { domainType } = driver;
      const type = typeof domainType === 'string' ? domainType : await domainType(facts(['qemu', 'kvm', 'xen']));
      expect(type).toMatch(/^[a-z]+$/);
    });

    it.each(driver.diskFormats)('makes a %s disk, the same when it is repeated', async (format) => {
      const world = new DiskWorld();
      const context = driverContext(format, world);
      await driver.preDefine?.(context);
      const once = new Map(world.disks);
      await driver.preDefine?.(context);
      expect(world.disks).toEqual(once);
      if (driver.preDefine) expect(world.disks.get(context.disk.path)).toMatch(/^(overlay|copy) of/);
    });

    it('changes the domain in the same way each time, and keeps what is there', () => {
      const context = driverContext(driver.diskFormats[0]!, new DiskWorld());
      for (const type of ['kvm', 'qemu', 'xen']) {
        const tree = domainTree(type);
        const once = driver.extendDomainXml?.(tree, context) ?? tree;
        expect(tree).toEqual(domainTree(type));
        expect(driver.extendDomainXml?.(tree, context) ?? tree).toEqual(once);
        expect(once.domain).toMatchObject({ name: [{ _: 'vm1' }], devices: [{ disk: [{}] }] });
      }
    });
  },
);

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
