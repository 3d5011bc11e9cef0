import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fs from 'node:fs';
import path from 'node:path';
import { judgeFile, strictTrust } from '../../../lib/plugins/file-trust';
import { PluginLoader, pluginFolders } from '../../../lib/plugins/loader';
import { MemoryLog } from '../../fixtures/memory-log';
import { TestFolder, driverText } from '../../fixtures/plugin-folder';

describe('the plugin loader', () => {
  let folder: TestFolder;
  let log: MemoryLog;
  let loader: PluginLoader<'driver'>;

  beforeEach(() => {
    folder = new TestFolder();
    log = new MemoryLog();
    loader = new PluginLoader('driver', [folder.asPluginFolder], log);
  });
  afterEach(() => folder.remove());

  const reasonOf = (name: string) => loader.look().verdicts.find(({ file }) => file === folder.file(name))?.reason;
  const names = () => loader.look().plugins.map(({ plugin }) => plugin.name);

  it('loads a file that an admin dropped, and nothing that is not a plugin file', () => {
    folder.write('one.js', driverText('one'));
    folder.write('two.cjs', driverText('two'));
    for (const name of ['README.md', 'x.d.ts', 'x.js.map', 'x.js~', '.x.js', 'x.mjs']) folder.write(name, 'not code');
    fs.mkdirSync(folder.file('helpers'));
    expect(names()).toEqual(['one', 'two']);
    expect(loader.look().verdicts).toHaveLength(2);
  });

  it('takes a default export as built from TypeScript', () => {
    folder.write(
      'built.js',
      `exports.__esModule = true; ${driverText('built').replace('module.exports', 'exports.default')}`,
    );
    expect(names()).toEqual(['built']);
  });

  it('gives a plugin its own helpers, from a sub-folder', () => {
    fs.mkdirSync(folder.file('parts'));
    fs.writeFileSync(folder.file('parts/name.js'), `module.exports = 'helped';`);
    folder.write('x.js', driverText('x').replace(`name: 'x'`, `name: require('./parts/name')`));
    expect(names()).toEqual(['helped']);
  });

  it.each<[string, string, RegExp]>([
    ['is empty', '', /exports nothing instead of an object/],
    ['exports a function', 'module.exports = () => {}', /exports a function instead of an object/],
    ['does not parse', 'module.exports = {', /failed when it was loaded: Unexpected end of input/],
    ['is an ES module', 'export default {}', /write module\.exports/],
    ['throws', 'throw new Error("no licence")', /failed when it was loaded: no licence/],
    ['throws no error at all', 'throw null', /failed when it was loaded/],
    ['ends the process', 'process.exit(1)', /called process\.exit, which would end the daemon/],
    ['needs what is not there', 'require("no-such-package")', /Cannot find module 'no-such-package'/],
    ['speaks a newer contract', driverText('x').replace('apiVersion: 1', 'apiVersion: 2'), /apiVersion 2 is newer/],
    ['says no apiVersion', driverText('x').replace('apiVersion: 1,', ''), /apiVersion is missing, must be 1/],
    ['has no proper name', driverText('No Name'), /name is 'No Name', must be lower case/],
    ['lacks data', driverText('x').replace(`['qcow2']`, '[]'), /diskFormats is an empty list/],
    ['lacks a hook', driverText('x').replace('probe:', 'prob:'), /probe is missing, must be a function/],
    ['has a hook that is none', driverText('x', 'preDefine: 1'), /preDefine is 1, must be a function/],
    ['misspells a hook', driverText('x', 'predefine() {}'), /predefine is no hook.*preDefine/],
  ])('rejects a file that %s, says why, and goes on', (_title, text, reason) => {
    folder.write('bad.js', text);
    folder.write('good.js', driverText('good'));
    expect(names()).toEqual(['good']);
    expect(reasonOf('bad.js')).toMatch(reason);
  });

  it('rejects a file that never comes to an end when it is loaded', () => {
    folder.write('endless.js', 'for (;;);');
    expect(reasonOf('endless.js')).toMatch(/did not return within 5000 ms/);
  });

  it('rejects a second plugin of a name that is taken, and says by whom', () => {
    folder.write('a.js', driverText('same'));
    folder.write('b.js', driverText('same'));
    expect(reasonOf('b.js')).toBe(`the name 'same' is taken by ${folder.file('a.js')}`);
    expect(names()).toEqual(['same']);
  });

  it('uses a changed file, a mended one, and not a removed one', () => {
    folder.write('x.js', driverText('before'));
    expect(names()).toEqual(['before']);
    folder.write('x.js', driverText('behind'));
    expect(names()).toEqual(['behind']);
    folder.write('x.js', 'nonsense(');
    expect(names()).toEqual([]);
    folder.write('x.js', driverText('mended'));
    expect(names()).toEqual(['mended']);
    fs.rmSync(folder.file('x.js'));
    expect(names()).toEqual([]);
  });

  it('runs a file once a version, and tells of it once', () => {
    const trace = folder.file('trace');
    folder.write('x.js', `require('fs').appendFileSync(${JSON.stringify(trace)}, 'run '); ${driverText('x')}`);
    folder.write('bad.js', 'nonsense(');
    for (let look = 0; look < 3; look++) loader.look();
    expect(fs.readFileSync(trace, 'utf8')).toBe('run ');
    expect(log.lines.map(({ level }) => level).sort()).toEqual(['info', 'warn']);
  });

  it('keeps what an earlier reservation was given when its file changes', () => {
    folder.write('x.js', driverText('x', `preDefine: async () => 'first'`));
    const [first] = loader.look().plugins;
    folder.write('x.js', driverText('x', `preDefine: async () => 'second'`));
    const [second] = loader.look().plugins;
    expect(first!.plugin.preDefine!({} as never)).not.toBe(second!.plugin.preDefine!({} as never));
    expect(first!.version).not.toBe(second!.version);
  });

  it('does without a folder that is not there', () => {
    const none = { ...folder.asPluginFolder, path: folder.file('nowhere') };
    expect(new PluginLoader('driver', [none], log).look()).toEqual({ plugins: [], verdicts: [] });
  });

  it('looks beside the program first, then in the folders of the configuration', () => {
    const root = path.resolve(__dirname, '../../..');
    const paths = pluginFolders('os-module', ['/etc/provisiond', '/opt/site']).map((folder) => folder.path);
    expect(paths).toEqual([`${root}/os-modules`, '/etc/provisiond/os-modules', '/opt/site/os-modules']);
  });
});

describe('who is trusted to write plugins', () => {
  let folder: TestFolder;
  beforeEach(() => {
    folder = new TestFolder();
  });
  afterEach(() => folder.remove());
  const judge = (name = 'x.js') => {
    const verdict = judgeFile(folder.path, name, strictTrust());
    return 'reason' in verdict ? verdict.reason : 'trusted';
  };

  it('root and the daemon, below a sticky folder such as /tmp too', () => {
    folder.write('x.js', 'text');
    expect(judge()).toBe('trusted');
  });

  it.each([
    ['a file that its group can write', 0o664, /x\.js can be written by its group \(id \d+\): chmod g-w/],
    ['a file that everybody can write', 0o646, /x\.js can be written by everybody: chmod o-w/],
  ])('not %s', (_title, mode, reason) => {
    folder.write('x.js', 'text', mode);
    expect(judge()).toMatch(reason);
  });

  it.each([0o775, 0o777, 0o1777])('not a folder of mode %o: others could put files in it', (mode) => {
    folder.write('x.js', 'text');
    fs.chmodSync(folder.path, mode);
    expect(judge()).toMatch(/can be written by/);
  });

  it('not a file below a folder that others could exchange', () => {
    const inner = folder.file('open/drivers');
    fs.mkdirSync(inner, { recursive: true });
    fs.writeFileSync(path.join(inner, 'x.js'), 'text');
    fs.chmodSync(folder.file('open'), 0o777);
    expect(judgeFile(inner, 'x.js', strictTrust())).toEqual({
      reason: expect.stringMatching(/open can be written by everybody/),
    });
  });

  (process.getuid?.() === 0 ? it : it.skip)('not a file of somebody else', () => {
    fs.chownSync(folder.write('x.js', 'text'), 12345, 12345);
    expect(judge()).toMatch(/belongs to user id 12345, not to root or the daemon/);
  });

  it('not a folder, a pipe, or a link that leads elsewhere; a link within the folder is fine', () => {
    fs.mkdirSync(folder.file('x.js'));
    expect(judge()).toBe('not a regular file');
    fs.symlinkSync('/etc/passwd', folder.file('out.js'));
    expect(judge('out.js')).toMatch(/leads out of the folder, to \/etc\/passwd/);
    folder.write('real.js', 'text');
    fs.symlinkSync('real.js', folder.file('in.js'));
    expect(judge('in.js')).toBe('trusted');
  });

  it('reads what was judged, not what was put there afterwards', () => {
    folder.write('x.js', 'judged');
    const file = judgeFile(folder.path, 'x.js', strictTrust());
    fs.renameSync(folder.write('y.js', 'exchanged'), folder.file('x.js'));
    expect(() => ('reason' in file ? '' : file.readText())).toThrow('the file was replaced while it was looked at');
  });
});
