/** From nothing to a reservation and back, command by command, on the embedded database; no daemon is needed for it. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { STATE_IDS } from '../../../lib/model/states';
import { type OpenStore, openStore } from '../../../lib/store/open-store';
import { Program, builtProgram } from './program';

// Each command is a process of its own, and the machine may be busy.
jest.setTimeout(60_000);

let program: Program;
let rows: OpenStore;

beforeAll(async () => {
  program = new Program(builtProgram());
});
afterAll(async () => {
  await rows?.store.close();
  program.end();
});

/** Leaves the rows as the daemon does when the guest is up. */
async function makeReady(requestId: number): Promise<void> {
  const { pending, reserved } = STATE_IDS;
  await rows.db.change('update request set stateid = ?, laststateid = ? where id = ?', [pending, reserved, requestId]);
  await rows.db.change(
    'update computer set stateid = ? where id in (select computerid from reservation where requestid = ?)',
    [reserved, requestId],
  );
  await rows.db.change("update reservation set pw = 'Xy7-secret' where requestid = ?", [requestId]);
}

const tell = (requestId: number, kind: 'begun' | 'ended' | 'failed', step: string, more: object = {}) =>
  rows.store.tell([
    {
      ...{ reservationId: requestId, computerId: 2, loadState: null, text: '' },
      event: { requestId, loadId: 'load-1', state: 'new', step, kind, ...more },
    },
  ]);

describe('the walk', () => {
  it('begins with init, which may be repeated', async () => {
    const before = await program.run('list', 'hosts');
    expect([before.exitCode, before.stderr]).toEqual([78, expect.stringContaining('provisiond init')]);
    const first = await program.run('init');
    expect([first.exitCode, first.stderr]).toEqual([0, '']);
    expect(await program.json('init')).toMatchObject({ done: [], managementNode: { id: 1, hostname: 'mn1' } });
    expect(fs.statSync(program.file('state/provisiond.db')).mode & 0o007).toBe(0);
    const unknown = await program.run('image', 'check', 'nowhere');
    expect([unknown.exitCode, unknown.stderr]).toEqual([3, expect.stringContaining('image list')]);
    rows = openStore(program);
    expect(await rows.db.rows('select id, hostname from managementnode')).toEqual([{ id: 1, hostname: 'mn1' }]);
  });

  it('enters this machine as VM host, asked for its own size, and changes only what is named again', async () => {
    const datastore = program.file('images');
    const networks = ['--private-network', 'nowhere', '--public-network', 'public'];
    const added = await program.json('host', 'add', 'kvm1', '--local', '--datastore', datastore, ...networks);
    expect(added).toMatchObject({ name: 'kvm1', transport: 'local', datastorePath: datastore, driver: null });
    expect(added['ramMiB']).toBeGreaterThan(100);
    expect((await program.run('host', 'add', 'kvm1', '--driver', 'kvm')).exitCode).toBe(0);
    expect(await program.json('list', 'hosts')).toEqual([
      expect.objectContaining({ name: 'kvm1', transport: 'local', driver: 'kvm', profile: 'kvm1', computers: 0 }),
    ]);
    expect(await rows.db.rows('select virtualswitch0, virtualswitch1, datastorepath from vmprofile')).toContainEqual({
      virtualswitch0: 'nowhere',
      virtualswitch1: 'public',
      datastorepath: datastore,
    });
  });

  it('enters a computer on it', async () => {
    const { exitCode } = await program.run('computer', 'add', 'vm1', '--host', 'kvm1', '--private-ip', '192.0.2.11');
    expect(exitCode).toBe(0);
    const [computer] = await rows.db.rows("select privateIPaddress, RAM, type from computer where hostname = 'vm1'");
    expect(computer).toEqual({ privateIPaddress: '192.0.2.11', RAM: 1024, type: 'virtualmachine' });
  });

  it('puts an image into the datastore, read-only, whole and under its final name', async () => {
    const file = program.file('debian.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '20M']);
    execFileSync('qemu-io', ['-c', 'write -P 7 0 3M', file]);
    const added = await program.json<{ path: string; fileName: string }>('image', 'add', file, '--name', 'Debian 12');
    expect(added.path).toBe(`${program.file('images')}/${added.fileName}.qcow2`);
    expect(fs.readFileSync(added.path).equals(fs.readFileSync(file))).toBe(true);
    expect(fs.statSync(added.path).mode & 0o777).toBe(0o444);
    expect(fs.readdirSync(program.file('images'))).toEqual([`${added.fileName}.qcow2`]);
    expect(await program.json('list', 'images')).toEqual([
      expect.objectContaining({ prettyName: 'Debian 12', name: added.fileName, production: true }),
    ]);
  });

  it('reserves, in the rows that the web front end inserts', async () => {
    const reserved = await program.json('reserve', '--image', 'Debian 12', '--user', 'ada', '--minutes', '90');
    expect(reserved).toMatchObject({ requestId: 1, status: 'loading', user: 'ada', computer: 'vm1', host: 'kvm1' });
    const request = await rows.db.rows('select stateid, laststateid from request');
    expect(request).toEqual([{ stateid: STATE_IDS.new, laststateid: STATE_IDS.new }]);
    const listed = await program.run('list', 'reservations');
    expect(listed.stdout).toMatch(/REQUEST +STATUS .*\n1 +loading +new +ada +Debian 12 +vm1 +kvm1 /);
  });

  it('shows nobody a way in before it is ready, and the way in after connect', async () => {
    const early = await program.run('connect', '1');
    expect([early.exitCode, early.stderr]).toEqual([4, expect.stringContaining('request 1 is loading')]);
    await makeReady(1);
    expect((await program.run('show', '1')).stdout).not.toContain('Xy7-secret');
    const connected = await program.run('connect', '1', '--from', '192.0.2.99');
    expect(connected.stdout).toContain('ssh ada@192.0.2.11   password Xy7-secret');
    expect(await rows.db.rows('select remoteIP from reservation')).toEqual([{ remoteIP: '192.0.2.99' }]);
  });

  it('extends', async () => {
    const { end: before } = await program.json<{ end: string }>('show', '1');
    const { end: after } = await program.json<{ end: string }>('extend', '1', '--minutes', '30');
    expect(Date.parse(after) - Date.parse(before)).toBe(30 * 60_000);
    expect(await rows.db.rows('select `end` from request')).toEqual([{ end: after }]);
  });

  it('ends', async () => {
    expect(await program.json('end', '1')).toEqual({ requestId: 1, result: 'ending' });
    const request = await rows.db.rows('select stateid, laststateid from request');
    expect(request).toEqual([{ stateid: STATE_IDS.deleted, laststateid: STATE_IDS.reserved }]);
  });

  it('of one who waits where no daemon works says so, and what it waits for', async () => {
    await rows.db.change('delete from request');
    await rows.db.change('update computer set stateid = ? where id = 2', [STATE_IDS.available]);
    const said = async (...args: string[]) => {
      const { child, ended } = program.start(args);
      let text = '';
      await new Promise<void>((resolve) =>
        child.stdout!.on('data', (data: Buffer) => {
          text += data.toString();
          if (text.includes('waits to be taken up')) resolve();
        }),
      );
      child.kill('SIGINT');
      return { text, exitCode: (await ended).exitCode };
    };
    expect(await said('vm', 'start', 'vm1')).toMatchObject({ exitCode: 75 });
    const added = await program.json<{ requestId: number }>('reserve', '--image', 'Debian 12', '--user', 'ada');
    const waiting = await said('show', String(added.requestId), '--follow');
    expect(waiting.text).toContain(`provisiond explain ${added.requestId}`);
  });

  it('of one who waits tells every step until it is ready', async () => {
    await rows.db.change('delete from request');
    await rows.db.change('update computer set stateid = ? where id = 2', [STATE_IDS.available]);
    const waiting = program.start(['reserve', '--image', 'Debian 12', '--user', 'ada', '--wait']);
    let requestId: number | undefined;
    while (requestId === undefined) {
      requestId = (await rows.db.one<{ id: number }>('select id from request'))?.id;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await tell(requestId, 'begun', 'define the domain');
    await tell(requestId, 'ended', 'define the domain', { milliseconds: 1234 });
    await makeReady(requestId);
    const { exitCode, stdout } = await waiting.ended;
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/\d\d:\d\d:\d\d {2}done {5}define the domain +1\.2 s\n/);
    expect(stdout).toContain(`provisiond connect ${requestId}`);
    expect(stdout).not.toContain('\u001b');
  });

  it('of one who follows a failure ends with its reason and remedy', async () => {
    const requestId = (await rows.db.one<{ id: number }>('select id from request'))!.id;
    const why = { errorCode: 'HOST_DISK_FULL', blame: 'host', hint: 'Free space on kvm1', milliseconds: 5 };
    await tell(requestId, 'failed', 'create the overlay', why);
    await rows.db.change('update request set stateid = ? where id = ?', [STATE_IDS.failed, requestId]);
    await rows.db.change('update computer set stateid = ? where id = 2', [STATE_IDS.failed]);
    const followed = await program.run('show', String(requestId), '--follow');
    expect(followed.exitCode).toBe(1);
    expect(followed.stdout).toMatch(/failed {3}create the overlay/);
    expect(followed.stdout).toContain('hint: Free space on kvm1');
    expect(await program.json('show', String(requestId), '--follow')).toMatchObject({
      error: { code: 'HOST_DISK_FULL', blame: 'host', hint: 'Free space on kvm1' },
    });
  });
});

describe('bad input', () => {
  it.each([
    ['no verb that there is', 2, /unknown command 'fly'/, ['fly']],
    ['an option left out', 2, /required option '--image <name>' not specified/, ['reserve']],
    ['a number that is none', 2, /must be a whole number, at least 1/, ['extend', '1', '--minutes', 'many']],
    ['an address that is none', 2, /must be an IPv4 address/, ['connect', '1', '--from', '300.1.1.1']],
    ['a time that is none', 2, /must look like "2026-01-31 14:30"/, ['reserve', '--image', 'x', '--start', 'soon']],
    [
      'a path that a shell would read otherwise',
      2,
      /absolute path/,
      ['host', 'add', 'h', '--datastore', '/a;rm -rf /'],
    ],
    ['a fingerprint that is none', 2, /ssh-keygen -l/, ['host', 'add', 'h', '--host-key', 'MD5:aa']],
    ['a new host without a way to it', 2, /needs --address or --local/, ['host', 'add', 'kvm9']],
    ['no such image', 3, /there is no image 'Windows'/, ['reserve', '--image', 'Windows']],
    ['no such request', 3, /there is no request 4711/, ['show', '4711']],
    ['no such appliance', 3, /no appliance 'shop'/, ['appliance', 'capture', 'shop']],
    ['no such host', 3, /'kvm9'/, ['computer', 'add', 'vm9', '--host', 'kvm9', '--private-ip', '192.0.2.1']],
    ['no such file', 3, /reading image file .*missing\.qcow2/, ['image', 'add', 'missing.qcow2', '--name', 'X']],
    ['no free computer', 4, /vm1: it is failed/, ['reserve', '--image', 'Debian 12', '--user', 'ada']],
    ['a taken name', 4, /already/, ['image', 'add', 'debian.qcow2', '--name', 'Debian 12']],
    [
      'a host that nobody answers for',
      75,
      /127\.0\.0\.1/,
      ['host', 'add', 'kvm2', '--address', '127.0.0.1', '--port', '1'],
    ],
    ['a configuration that is not there', 78, /cannot read/, ['list', 'hosts', '--config', '/nowhere.yaml']],
  ])('%s: exit code %d and a message to act on', async (_what, exitCode, message, args) => {
    const [ended, again] = await Promise.all([program.run(...args), program.run(...args, '--json')]);
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).not.toMatch(/\n +at /);
    expect([ended.exitCode, ended.stdout]).toEqual([exitCode, '']);
    expect([again.exitCode, again.stderr]).toEqual([exitCode, '']);
    expect(JSON.parse(again.stdout)).toEqual({
      error: {
        code: expect.stringMatching(/^[A-Z_]+$/),
        message: expect.stringMatching(message),
        hint: expect.stringMatching(/\w/),
        blame: expect.stringMatching(/^[a-z]+$/),
      },
    });
  });

  it('an image that reads another file is refused, and nothing of it is left', async () => {
    const file = program.file('overlay.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', '/etc/shadow', '-F', 'raw', '-u', file, '1M']);
    const before = fs.readdirSync(program.file('images'));
    const ended = await program.run('image', 'add', file, '--name', 'Evil');
    expect([ended.exitCode, ended.stderr]).toEqual([1, expect.stringContaining('backing file')]);
    expect(fs.readdirSync(program.file('images'))).toEqual(before);
    expect(await rows.db.rows("select id from image where prettyname = 'Evil'")).toEqual([]);
  });

  it('a password in the configuration is in no message', async () => {
    const env = { PROVISIOND_DATABASE: 'mysql://vcl:canary-4711@127.0.0.1:1/vcl' };
    for (const args of [['list', 'hosts'], ['config'], ['check'], ['config', '--json']]) {
      const { stdout, stderr, exitCode } = await program.start(args, env).ended;
      expect(stdout + stderr).not.toContain('canary');
      expect(args[0] === 'config' ? 0 : [1, 75]).toEqual(
        args[0] === 'config' ? exitCode : expect.arrayContaining([exitCode]),
      );
    }
  });
});

describe('the program', () => {
  it('has help with an example for every verb', async () => {
    const { stdout } = await program.run('--help');
    const verbs = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1]!).filter((verb) => verb !== 'help');
    expect(verbs).toEqual(
      expect.arrayContaining(['run', 'init', 'check', 'reserve', 'show', 'connect', 'extend', 'end']),
    );
    for (const verb of verbs) {
      const own = await program.run(verb, '--help');
      const leaf = /^Commands:\n {2}([\w-]+) /m.exec(own.stdout)?.[1];
      const help = leaf === undefined ? own : await program.run(verb, leaf, '--help');
      expect([verb, help.exitCode, help.stdout]).toEqual([verb, 0, expect.stringMatching(/Example:\n {2}provisiond /)]);
      expect(help.stdout).toContain('--json');
    }
  });

  it('lists all problems of a configuration at once', async () => {
    fs.writeFileSync(program.file('bad.yaml'), 'maxLoads: 0\npolIntervalMs: 3\n');
    const { exitCode, stderr } = await program.run('check', '--config', program.file('bad.yaml'));
    expect([exitCode, stderr]).toEqual([1, '']);
    const { findings } = await program.json<{ findings: { verdict: string; text: string }[] }>(
      ...['check', '--config', program.file('bad.yaml')],
    );
    expect(findings.map(({ verdict }) => verdict)).toEqual(['problem', 'problem']);
  });

  it('checks without changing anything, and says what to do', async () => {
    const before = await rows.db.rows('select * from provisiond_host');
    const { exitCode, stdout } = await program.run('check');
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/ok +database +tables/);
    expect(stdout).toMatch(/PROBLEM +host kvm1 +network nowhere|PROBLEM +host kvm1 +virsh/);
    expect(stdout).toMatch(/what to do:\n/);
    expect(await rows.db.rows('select * from provisiond_host')).toEqual(before);
  });

  it('prints the configuration file that ships', async () => {
    const { stdout } = await program.run('config', '--defaults');
    expect(stdout).toBe(fs.readFileSync('conf/provisiond.yaml', 'utf8'));
  });

  it('lists the drivers and OS modules that ship', async () => {
    const plugins = await program.json<{ name: string; accepted: boolean }[]>('plugins');
    expect(plugins).toEqual(
      expect.arrayContaining(['kvm', 'linux'].map((name) => expect.objectContaining({ name, accepted: true }))),
    );
  });

  it('runs as a daemon until it is told to stop', async () => {
    const { child, ended } = program.start(['run']);
    let log = '';
    await new Promise<void>((resolve) => {
      child.stderr!.on('data', (data: Buffer) => {
        log += data.toString();
        if (log.includes('provisiond starts')) resolve();
      });
      child.once('close', () => resolve());
    });
    child.kill('SIGTERM');
    const { exitCode, stderr } = await ended;
    expect([exitCode, stderr]).toEqual([0, expect.stringMatching(/stopping: SIGTERM[\s\S]*has stopped/)]);
  });
});
