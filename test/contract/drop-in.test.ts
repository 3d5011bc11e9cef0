/** Plugin files that come, change and go under a running daemon, and what bad ones do to it: nothing. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { chownSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { PluginRegistry } from '../../lib/plugins/registry';
import { MemoryLog } from '../fixtures/memory-log';
import { TestFolder } from '../fixtures/plugin-folder';
import { untilRequest } from '../support/eventually';
import { FakeDaemon } from '../support/fake-daemon';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { FakeSite, USER_ADDRESS } from '../support/fake-site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const ROOT = path.resolve(__dirname, '../..');

/** The first example of a README, as it is printed. */
const exampleOf = (readme: string) =>
  /```js\n(.*?)```/s.exec(readFileSync(path.join(ROOT, readme, 'README.md'), 'utf8'))![1]!;

/** A driver that leaves its word in the domain, and in a file when it clears up. */
const driver = (word: string, more = '', apiVersion = 1) => `module.exports = {
  apiVersion: ${apiVersion}, name: 'dropped', domainType: 'qemu', diskDriverName: 'qemu', diskFormats: ['qcow2'],
  probe: () => ({ usable: false, reason: 'only where it is pinned' }),
  preDefine: async ({ images, disk }) => images.createOverlay(await images.ensureBase('qcow2'), disk),
  extendDomainXml: ({ domain }) => ({ domain: { ...domain, title: [{ _: '${word}' }] } }),
  removeDisks: async () => require('fs').appendFileSync(__dirname + '/cleared', '${word} '),
  ${more}
};`;
const osModule = (word: string, more = '', apiVersion = 1) => `module.exports = {
  apiVersion: ${apiVersion}, name: 'dropped-os',
  postLoad: ({ guest }) => guest.script('post-load', 'echo "$1" > ~/word', ['${word}']),
  reserve: async () => {},
  sanitize: () => require('fs').appendFileSync(__dirname + '/cleared', '${word} '),
  ${more}
};`;

/** host1 pins the driver `dropped`; host2, with vm2, asks all drivers. */
class DropInSite {
  readonly plugins = new TestFolder();
  readonly drivers = this.kindOf('drivers');
  readonly osModules = this.kindOf('os-modules');
  site!: FakeSite;
  daemon!: FakeDaemon;

  async open(osModules = {}): Promise<void> {
    this.site = await FakeSite.open({
      hosts: ['host1', 'host2'],
      computers: [{}, { host: 'host2' }, {}],
      settings: { pluginDirs: [this.plugins.path], hookTimeoutMs: 2500, osModules: { ...LINUX, ...osModules } },
    });
    await this.pin('dropped');
    this.daemon = new FakeDaemon(this.site);
  }

  async close(): Promise<void> {
    await this.daemon.stop();
    await this.site.close();
    this.plugins.remove();
  }

  async pin(name: string): Promise<void> {
    const host1 = "(select id from computer where hostname = 'host1')";
    await this.site.database.change(`update provisiond_host set driver = ? where computerid = ${host1}`, [name]);
  }

  /** Until it has what it was asked for, or has failed. @returns its end, and why */
  async reserve(computer = 'vm1'): Promise<{ requestId: number; state: string | null; why: string }> {
    const requestId = await this.site.reserve({ computer });
    const state = await this.until(requestId, 'pending/reserved', 'failed/new');
    return { requestId, state, why: await this.site.failure(requestId) };
  }

  /** Its user was there, if he could: the machine is not kept for the next. */
  async end(requestId: number): Promise<void> {
    if ((await this.site.requestState(requestId)) === 'pending/reserved') {
      await this.site.frontEnd.connect(requestId, USER_ADDRESS);
    }
    await this.site.frontEnd.end(requestId);
    await this.until(requestId, null);
  }

  titles(): string[] {
    const text = this.site.host.domains().map(({ xml }) => /<title>(.*?)<\/title>/.exec(xml)?.[1] ?? '');
    return text.sort();
  }

  /** What `provisiond plugins` says of the file. */
  reasonOf(file: string): string | null | undefined {
    const registry = new PluginRegistry(this.site.config, new MemoryLog());
    return registry.verdicts().find((verdict) => verdict.file === file)?.reason;
  }

  /** Warnings that the daemon logged of the file. */
  warningsOf(file: string): string[] {
    const warnings = this.site.log.lines.filter(({ level }) => level === 'warn');
    return warnings.map(({ message }) => message).filter((message) => message.includes(`${file} is not used`));
  }

  cleared(kind: TestFolder): string {
    try {
      return readFileSync(kind.file('cleared'), 'utf8');
    } catch {
      return '';
    }
  }

  private until(requestId: number, ...states: (string | null)[]): Promise<string | null> {
    return untilRequest(this.site, requestId, states);
  }

  private kindOf(name: string): TestFolder {
    mkdirSync(this.plugins.file(name));
    return Object.assign(Object.create(this.plugins) as TestFolder, { path: this.plugins.file(name) });
  }
}

const LINUX = { 'VCL::Module::OS::Linux': 'linux' };
const DROPPED_OS = { 'VCL::Module::OS::Linux': 'dropped-os' };

wherever('a driver that is dropped in while the daemon runs', () => {
  const world = new DropInSite();
  beforeAll(() => world.open());
  afterAll(() => world.close());

  it('is used by the next reservation; changed or removed, those in flight keep what they began with', async () => {
    expect((await world.reserve()).why).toMatch(/'dropped', pinned for host host1, is not there; there are: /);

    world.drivers.write('dropped.js', driver('one'));
    const first = await world.reserve('vm1');
    expect([first.state, world.titles()]).toEqual(['pending/reserved', ['one']]);

    world.drivers.write('dropped.js', driver('two'));
    const second = await world.reserve('vm3');
    expect([second.state, world.titles()]).toEqual(['pending/reserved', ['one', 'two']]);
    const before = world.cleared(world.drivers).length;
    await world.end(first.requestId);
    expect(world.cleared(world.drivers).slice(before)).toBe('one ');

    rmSync(world.drivers.file('dropped.js'));
    const third = await world.reserve('vm1');
    expect([third.state, third.why]).toEqual(['failed/new', expect.stringContaining("'dropped', pinned for")]);
    await world.end(second.requestId);
    expect(world.cleared(world.drivers).slice(before)).toBe('one two ');
    expect(await world.site.traces()).toEqual([]);
    await world.end(third.requestId);
    expect(await world.site.computerState('vm1')).toBe('available');
  });

  it('carries a whole reservation as the README prints it', async () => {
    world.drivers.write('example.js', exampleOf('drivers'));
    await world.pin('whole-copy');
    const { requestId, state, why } = await world.reserve();
    expect([state, why, world.titles()]).toEqual(['pending/reserved', '', ['a whole copy']]);
    await world.end(requestId);
    expect(await world.site.traces()).toEqual([]);
    await world.pin('dropped');
    rmSync(world.drivers.file('example.js'));
  });
});

wherever('an OS module that is dropped in while the daemon runs', () => {
  const world = new DropInSite();
  beforeAll(() => world.open(DROPPED_OS));
  afterAll(() => world.close());
  const wordIn = (computer: string) => {
    const guests = world.site.guests.get('host2')!;
    const domain = world.site.hosts
      .get('host2')!
      .domains()
      .find(({ name }) => name.startsWith(`${computer}_`))!;
    return guests.read(domain.name, '/root/word');
  };

  it('is used by the next reservation; removed, those in flight keep what they began with', async () => {
    expect((await world.reserve('vm2')).why).toMatch(/OS module 'dropped-os' .* is not there; there are: /);
    world.osModules.write('dropped-os.js', osModule('one'));
    const first = await world.reserve('vm2');
    expect([first.state, first.why, wordIn('vm2')]).toEqual(['pending/reserved', '', 'one\n']);
    rmSync(world.osModules.file('dropped-os.js'));
    await world.end(first.requestId);
    expect((await world.reserve('vm2')).why).toMatch(/OS module 'dropped-os' .* is not there/);
  });

  it('carries a whole reservation as the README prints it', async () => {
    const asDropped = exampleOf('os-modules').replace("name: 'appliance'", "name: 'dropped-os'");
    world.osModules.write('example.js', asDropped);
    const { requestId, state, why } = await world.reserve('vm2');
    expect([state, why]).toEqual(['pending/reserved', '']);
    await world.end(requestId);
    rmSync(world.osModules.file('example.js'));
  });
});

/** What may be wrong with a file before any of its hooks is called: text, reason, and what else is done to it. */
const BAD_FILES: [string, (good: (more?: string, apiVersion?: number) => string) => string, RegExp, number | null][] = [
  ['is broken', () => 'module.exports = {', /failed when it was loaded: /, null],
  ['throws when it is loaded', () => "throw new Error('no licence')", /failed when it was loaded: no licence/, null],
  ['hangs when it is loaded', () => 'for (;;);', /failed when it was loaded: did not return within 5000 ms/, null],
  [
    'ends the process when it is loaded',
    () => 'process.exit(3)',
    /called process\.exit, which would end the daemon/,
    null,
  ],
  ['is of a newer version of the contract', (good) => good('', 2), /apiVersion/, null],
  ['belongs to somebody else', (good) => good(), /belongs to user id 4711, not to root/, 4711],
  [
    'has a hook that is none',
    (good) => good('predefine() {}, postload() {},'),
    /is no hook of this kind of plugin/,
    null,
  ],
];

const KINDS = [
  [
    'driver',
    'vm1',
    {},
    (more?: string, version?: number) => driver('bad', more, version),
    /'dropped', pinned for host/,
  ],
  ['OS module', 'vm2', DROPPED_OS, (more?: string, version?: number) => osModule('bad', more, version), /OS module/],
] as const;

wherever.each(KINDS)('a bad file of a %s', (kind, computer, map, good, what) => {
  const world = new DropInSite();
  const name = kind === 'driver' ? 'dropped' : 'dropped-os';
  const folder = kind === 'driver' ? world.drivers : world.osModules;
  beforeAll(() => world.open(map));
  afterAll(() => world.close());

  it.each(BAD_FILES)(
    'that %s fails the reservation that needs it with the reason, is told of once, and harms nothing',
    async (_fault, text, reason, owner) => {
      rmSync(folder.file(`${name}.js`), { force: true }); // with its owner
      const file = folder.write(`${name}.js`, text(good));
      if (owner !== null) chownSync(file, owner, owner);
      const told = world.warningsOf(file).length;
      for (let time = 0; time < 2; time++) {
        const { requestId, state, why } = await world.reserve(computer);
        expect([state, why]).toEqual(['failed/new', expect.stringMatching(what)]);
        expect(why).toMatch(reason);
        await world.end(requestId);
        expect(await world.site.computerState(computer)).toBe('available');
      }
      expect(world.reasonOf(file)).toMatch(reason);
      expect(world.warningsOf(file).slice(told)).toEqual([expect.stringMatching(reason)]);
      expect(readFileSync(file, 'utf8')).toBe(text(good)); // where it was, as it was
    },
  );

  const hook = kind === 'driver' ? 'preDefine' : 'postLoad';
  it.each([
    ['throws', "throw new Error('no licence')", /no licence/],
    ['never comes back', 'return new Promise(() => {})', /took longer than 2500 ms/],
    ['loops for ever', 'for (;;);', /did not return within 2500 ms/],
    ['ends the process', 'process.exit(7)', /called process\.exit, which would end the daemon/],
  ])(`that is bad in its ${hook}, which %s, is blamed by name, and leaves nothing`, async (_fault, body, reason) => {
    rmSync(folder.file(`${name}.js`), { force: true });
    const file = folder.write(`${name}.js`, good(`async ${hook}() { ${body}; },`));
    const { requestId, state, why } = await world.reserve(computer);
    expect([state, why]).toEqual([
      'failed/new',
      expect.stringContaining(`${hook} of ${name === 'dropped' ? 'driver' : 'os-module'} '${name}' (${file})`),
    ]);
    expect(why).toMatch(reason);
    expect(await world.site.traces()).toEqual([]);
    await world.end(requestId);
    expect(await world.site.computerState(computer)).toBe('available');
  });

  it('is forgotten as soon as it is mended', async () => {
    folder.write(`${name}.js`, good());
    const { requestId, state, why } = await world.reserve(computer);
    expect([state, why]).toEqual(['pending/reserved', '']);
    await world.end(requestId);
    expect(await world.site.traces()).toEqual([]);
  });
});
