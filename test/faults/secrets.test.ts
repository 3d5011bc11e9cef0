/**
 * Secrets that are unlike anything else are put everywhere where secrets stand (database account, rows, key files, the
 * password that a user gets), and then looked for in everything that others can see: the arguments of all processes of
 * this machine while a life goes on, log, story, errors, and the XML on the host.
 */
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import knex from 'knex';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { USER_ADDRESS } from '../support/fake-site';
import { LONG, round, writeTable } from '../support/fault-table';
import { FaultSite } from '../support/fault-site';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

/** Looks at the arguments of every process again and again. */
class ArgumentWatch {
  readonly seen = new Set<string>();
  private readonly timer = setInterval(() => this.look(), 4);

  stop(): string {
    clearInterval(this.timer);
    return [...this.seen].join('\n');
  }

  private look(): void {
    for (const pid of readdirSync('/proc')) {
      if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
      try {
        this.seen.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
      } catch {
        // it ended meanwhile
      }
    }
  }
}

/** The body of a private key, in lines that stand nowhere else. */
function linesOfKey(file: string): string[] {
  return readFileSync(file, 'utf8').trim().split('\n').slice(2, -2);
}

function expectNowhere(secrets: Readonly<Record<string, readonly string[]>>, places: Readonly<Record<string, string>>) {
  const found = Object.entries(places).flatMap(([place, text]) =>
    Object.entries(secrets).flatMap(([name, values]) => {
      const leaked = values.find((value) => text.includes(value));
      const line = text.split('\n').find((candidate) => leaked !== undefined && candidate.includes(leaked));
      return leaked === undefined ? [] : [`${name} is in ${place}: ${line?.slice(0, 300)}`];
    }),
  );
  expect(found).toEqual([]);
}

afterAll(writeTable);

if (LONG)
  describe('secrets, with real hosts and guests,', () => {
    let site: Site;
    afterEach(() => site?.close());

    it('are in no argument, log, story, error or XML', async () => {
      await round('canaries for secrets in a whole life (real parts)', 'P11', async () => {
        const lab = process.env.PROVISIOND_LAB_MYSQL!;
        const admin = knex({ client: 'mysql2', connection: lab });
        const databasePassword = 'CanaryOfTheDatabase7f3a';
        await admin.raw(`create or replace user canary@'127.0.0.1' identified by '${databasePassword}'`);
        await admin.raw("grant all on *.* to canary@'127.0.0.1'");
        await admin.destroy();
        const mysqlUrl = lab.replace(/\/\/[^@]*@/, `//canary:${databasePassword}@`);
        site = await Site.open({ dialect: 'mysql', mysqlUrl, withoutDaemon: true });
        await site.database('vmprofile').update({ username: 'root', password: 'CanaryOfTheProfile91c4' });
        await site.database('vmprofile').update({ encryptedpasswd: 'CanaryEncrypted55d0', rsakey: '/CanaryRsa/key' });
        const watch = new ArgumentWatch();
        await site.startDaemon();
        const requestId = await site.reserve({ computer: 'vm1' });
        const { password } = await site.waitUntilReady(requestId, 120);
        const xml = await Promise.all(
          (await site.domains()).map((name) => site.virsh('dumpxml', '--security-info', name)),
        );
        await site.frontEnd.connect(requestId, '192.168.122.1');
        await eventually(async () => (await site.loadStates(requestId)).includes('noinitialconnection'), 60);
        // A failure, for its texts.
        const failing = await site.reserve({ computer: 'vm2' });
        await site.database('image').update({ name: 'no-such-file' }).where({ id: site.image.imageId });
        await eventually(async () => /^(failed|pending\/reserved)/.test((await site.requestState(failing))!), 120);
        await site.frontEnd.end(requestId);
        await site.waitForRequest(requestId, null, 60);
        const args = watch.stop();
        const story = JSON.stringify([await site.database('provisiond_event'), await site.database('computerloadlog')]);
        const files = readdirSync(site.config.xmlDirectory).map((name) => path.join(site.config.xmlDirectory, name));
        expectNowhere(
          {
            'the password of the database': [databasePassword],
            'the password of the VM profile': ['CanaryOfTheProfile91c4'],
            'the encrypted password of the VM profile': ['CanaryEncrypted55d0'],
            'the password of the user': [password!],
            'the private key for hosts': linesOfKey(site.lab.sshKeyFile),
            'the private key for guests': linesOfKey(site.lab.guestKeyFile),
          },
          {
            'the arguments of a process': args,
            'the log': readFileSync(site.logFile, 'utf8'),
            'the story': story,
            'the XML of a domain': [...xml, ...files.map((file) => readFileSync(file, 'utf8'))].join('\n'),
          },
        );
        for (const file of files) expect((statSync(file).mode & 0o077).toString(8)).toBe('0');
      });
    });
  });

wherever('secrets, in the fake world, whose guests are processes of this machine,', () => {
  let fault: FaultSite | undefined;
  afterEach(() => fault?.close());

  it('are in no argument, log or story', async () => {
    await round('canaries for secrets in a whole life (fake world)', 'P11', async () => {
      fault = await FaultSite.open();
      const { site } = fault;
      const watch = new ArgumentWatch();
      fault.startDaemon();
      const requestId = await site.reserve({ computer: 'vm1' });
      await fault.waitForRequest(requestId, ['pending/reserved'], 60);
      await eventually(async () => (await site.frontEnd.show(requestId)).status === 'ready');
      const { password } = await site.frontEnd.show(requestId);
      await site.frontEnd.connect(requestId, USER_ADDRESS);
      await fault.waitForRequest(requestId, ['inuse/reserved', 'inuse/inuse'], 60);
      await site.overwrite(requestId, 'reinstall');
      await eventually(async () => (await site.frontEnd.show(requestId)).status === 'ready', 60);
      const again = (await site.frontEnd.show(requestId)).password;
      await site.frontEnd.end(requestId);
      await fault.waitForRequest(requestId, [null], 60);
      const args = watch.stop();
      expect(args).toContain('guest-run'); // it did see what runs in guests
      const story = await site.database.rows('select * from provisiond_event');
      expectNowhere(
        { 'the password of the user': [password!], 'his password after the reinstall': [again!] },
        {
          'the arguments of a process': args,
          'the log': readFileSync(fault.logFile, 'utf8'),
          'the story': JSON.stringify(story),
        },
      );
    });
  });
});

describe('the command line', () => {
  it('shows no password of the database, whatever goes wrong', () => {
    const program = path.join(__dirname, '../../dist/lib/main.js');
    const env = { ...process.env, PROVISIOND_DATABASE: 'mysql://canary:CanaryOnTheLine42@127.0.0.1:1/none' };
    for (const verb of [['check'], ['list', 'hosts'], ['config'], ['run']]) {
      const { stdout, stderr } = spawnSync(process.execPath, [program, ...verb], {
        env,
        encoding: 'utf8',
        timeout: 20_000,
      });
      const said = stdout + stderr;
      expect(said).not.toContain('CanaryOnTheLine42');
      expect(said).not.toBe('');
    }
  });
});
