/** What of a site's rows would not work (`provisiond check`): each with its remedy, and gone when it was mended. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type OpenStore, openStore } from '../../../lib/store/open-store';
import { HOST, MariadbServer } from '../../support/store';
import { Program, builtProgram } from './program';

// Each command is a process of its own, and the machine may be busy.
jest.setTimeout(90_000);

interface Finding {
  readonly subject: string;
  readonly check: string;
  readonly verdict: 'ok' | 'warning' | 'problem';
  readonly text: string;
  readonly remedy: string | null;
}

let program: Program;
let server: MariadbServer;
let url: string;
let rows: OpenStore;
let node: number;

beforeAll(async () => {
  program = new Program(builtProgram());
  server = MariadbServer.start();
  url = await server.createDatabase();
  rows = openStore({ database: url });
  await rows.store.migrate();
  node = await rows.frontEnd.ensureManagementNode('mn1', '127.0.0.1', []);
  fs.mkdirSync(program.file('images'));
});
afterAll(async () => {
  await rows?.store.close();
  server?.stop();
  program?.end();
});

const check = async (env: Record<string, string> = {}): Promise<Finding[]> => {
  const { stdout } = await program.start(['check', '--json'], { PROVISIOND_DATABASE: url, ...env }).ended;
  return (JSON.parse(stdout) as { findings: Finding[] }).findings;
};
const of = (findings: readonly Finding[], subject: string, name: string | RegExp) =>
  findings.find(
    (one) => one.subject === subject && (name instanceof RegExp ? name.test(one.check) : one.check === name),
  );
const putHost = () =>
  rows.frontEnd.putHost(
    {
      ...HOST,
      ...{ name: 'kvm1', transport: 'local', datastorePath: program.file('images'), vmPath: null },
      ...{ privateNetwork: 'nowhere', publicNetwork: 'nowhere' },
    },
    node,
  );
const addImage = (prettyName: string, os: string) =>
  rows.frontEnd.addImage({ prettyName, os, ramMiB: 256, cpus: 1, sizeMiB: 1, owner: 'admin' });

describe('a site', () => {
  it('with an OS whose module nobody serves is told how to map it', async () => {
    await addImage('Leopard', 'vmwareosx');
    const before = of(await check(), 'modules', /^OS .*osx/i);
    expect(before).toMatchObject({ verdict: 'warning', remedy: expect.stringMatching(/^Map VCL::\S+ in osModules/) });
    await rows.db.change("update image set deleted = 1 where prettyname = 'Leopard'");
    expect(of(await check(), 'modules', /^OS .*osx/i)).toBeUndefined();
  });

  it('with a network that its host does not have is told which there are, and what to do', async () => {
    await putHost();
    const found = await check();
    // Where no libvirt answers, that is the problem, and of the network nothing is known.
    const looks = [of(found, 'host kvm1', 'network nowhere'), of(found, 'host kvm1', 'virsh')];
    const problem = looks.find((look) => look?.verdict === 'problem');
    expect(problem?.remedy).toMatch(/network|libvirt/);
  });

  it('with a key that cannot be read is told which, and what to do', async () => {
    const file = program.file('missing.key');
    await rows.db.change('update managementnode set `keys` = ?', [file]);
    expect(of(await check(), 'management node', 'keys')).toMatchObject({
      verdict: 'problem',
      text: `${file} cannot be read`,
      remedy: expect.stringContaining('managementnode.keys'),
    });
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
    expect(of(await check(), 'management node', 'keys')).toMatchObject({ verdict: 'ok' });
  });

  it('with an image whose file is missing is told where it was looked for', async () => {
    await putHost();
    const { fileName } = await addImage('Lost', 'vmwarelinux');
    const found = of(await check(), 'host kvm1', 'image files');
    expect(found).toMatchObject({ verdict: 'warning', remedy: expect.stringContaining('Copy the files there') });
    expect(found!.text).toContain(`${program.file('images')}: ${fileName}`);
    fs.writeFileSync(program.file(`images/${fileName}.qcow2`), '');
    expect(of(await check(), 'host kvm1', 'image files')).toMatchObject({ verdict: 'ok' });
  });

  it('whose database lives in another time zone is told so, with the seconds', async () => {
    const remedy = expect.stringMatching(/set-timezone/);
    const zones = { TZ: 'Asia/Tokyo' }; // of this program only: the server has its own
    const found = of(await check(zones), 'database', 'clock');
    expect(found).toMatchObject({ verdict: 'problem', remedy });
    expect(Number(/(\d+) s/.exec(found!.text)![1])).toBeGreaterThan(3000);
    expect(of(await check(), 'database', 'clock')).toMatchObject({ verdict: 'ok' });
  });

  it('whose web front end lives in another time zone is told so', async () => {
    expect(of(await check(), 'database', 'clock of the web')).toBeUndefined();
    const stamp = { userid: 1, start: '2026-11-21 12:20:28', initialend: '2026-11-21 13:15:00', imageid: 1 };
    const logid = await rows.db.insert('log', { ...stamp, nowfuture: 'now', finalend: stamp.initialend });
    const times = { start: '2026-11-21 11:15:00', end: '2026-11-21 12:15:00', daterequested: '2026-11-21 11:20:28' };
    await rows.db.insert('request', { stateid: 13, laststateid: 13, userid: 1, logid, ...times });
    expect(of(await check(), 'database', 'clock of the web')).toMatchObject({
      verdict: 'problem',
      text: "the clock of the front end is 3600 s ahead of the database's",
      remedy: expect.stringContaining('date.timezone'),
    });
    await rows.db.change('update log set start = ?', [times.daterequested]);
    expect(of(await check(), 'database', 'clock of the web')).toMatchObject({ verdict: 'ok' });
  });
});
