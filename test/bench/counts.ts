/**
 * What a load sends, counted by those who receive it: the host's sshd (its log at level VERBOSE), the guest (a forced
 * command that notes each call and its connection), and MariaDB (its general log).
 */
import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Site } from '../support/site';
import { addCrowd } from './crowd';
import type { Measure } from './measure';
import { measurePoll } from './rest';

const run = promisify(execFile);
const HOST_LOG = '/var/log/libvirt/sshd.log';
const GUEST_NOTES = '/run/ssh-commands';
const DAEMON = 'benchdaemon';
const MOST_STATEMENTS = 40;

export async function measureCounts(crowd: number): Promise<Measure[]> {
  const site = await Site.open({ dialect: 'mysql', withoutDaemon: true, computers: [{}, {}] });
  try {
    site.putImageFile(await notingImage(site));
    await addCrowd(site, crowd, 'vm2');
    await site.startDaemon({ database: await ownAccount(site) });
    await loadOnce(site); // the first one asks more, once: driver, capabilities, connection
    await startGeneralLog(site);
    const before = readFileSync(HOST_LOG, 'utf8').length;
    const { hostLog, guestNotes } = await loadOnce(site);
    return [
      ...ofSsh(hostLog.slice(before), guestNotes),
      ...(await ofSql(site)),
      ...(await measurePoll(site, `${crowd} requests on MariaDB`)),
    ];
  } finally {
    await site.database.raw('set global general_log = 0');
    await site.close();
  }
}

function ofSsh(hostLog: string, guestNotes: string[]): Measure[] {
  const count = (pattern: RegExp) => [...hostLog.matchAll(pattern)].length;
  const commands = { host: count(/Starting session/g), guest: guestNotes.length };
  const alone = (name: string, value: number, atMost?: number): Measure => ({
    name,
    unit: '',
    provisiond: [value],
    ...(atMost !== undefined && { goal: { atMost } }),
  });
  return [
    alone('ssh commands a load', commands.host + commands.guest, 15),
    alone('· to the host', commands.host),
    alone('· to the guest', commands.guest),
    alone('ssh connections a load, to a connected host', count(/Accepted publickey/g), 0),
    alone('ssh connections a load, to the guest', new Set(guestNotes).size, 1),
  ];
}

/**
 * One reservation to its end.
 * @returns at the time when it was reserved: the log of the host's sshd, and the client's port for each command that
 *   the guest was sent
 */
async function loadOnce(site: Site): Promise<{ hostLog: string; guestNotes: string[] }> {
  const requestId = await site.reserve({ computer: 'vm1' });
  await site.waitUntilReady(requestId, 120);
  await site.database.raw('set global general_log = 0');
  const hostLog = readFileSync(HOST_LOG, 'utf8');
  const notes = await site.inGuest('192.168.121.11', `cat ${GUEST_NOTES}`);
  await site.taint('192.168.121.11'); // not to be kept for the next
  await site.frontEnd.end(requestId);
  await site.waitForRequest(requestId, null, 60);
  return { hostLog, guestNotes: notes.trim().split('\n').slice(0, -1) }; // the last one is this very question
}

/** The guest with a key that notes every command before it is run. */
async function notingImage(site: Site): Promise<string> {
  const publicKey = readFileSync(`${site.lab.guestKeyFile}.pub`, 'utf8').trim();
  const keys = path.join(site.folder, 'noting.pub');
  // dropbear takes the words as they are: no quotes. An empty IFS keeps the command in one piece.
  const note = `echo \${SSH_CONNECTION% * *} >> ${GUEST_NOTES}; IFS=; set -f; exec sh -c $SSH_ORIGINAL_COMMAND`;
  writeFileSync(keys, `command="${note}" ${publicKey}\n`);
  const image = path.join(site.folder, 'noting.qcow2');
  await run(path.join(__dirname, '../lab/guest-image'), [image, keys]);
  chmodSync(site.masterFile, 0o644);
  return image;
}

/** An account for the daemon alone, so that the server's log tells its statements from those of the bench. */
async function ownAccount(site: Site): Promise<string> {
  await site.database.raw(`create user if not exists ${DAEMON}@'127.0.0.1' identified by 'bench'`);
  await site.database.raw(`grant all on *.* to ${DAEMON}@'127.0.0.1'`);
  const url = new URL(site.config.database);
  url.username = DAEMON;
  url.password = 'bench';
  return url.toString();
}

async function startGeneralLog(site: Site): Promise<void> {
  await site.database.raw("set global log_output = 'TABLE'");
  await site.database.raw('truncate table mysql.general_log');
  await site.database.raw('set global general_log = 1');
}

/** The poll, the lease and the like go on without any reservation: what is said while one is loaded is told apart. */
async function ofSql(site: Site): Promise<Measure[]> {
  const [rows] = (await site.database.raw(
    `select command_type as kind, convert(argument using utf8mb4) as text from mysql.general_log where user_host like '${DAEMON}%'`,
  )) as [{ kind: string; text: string }[]];
  const statements = rows.filter(({ kind }) => kind === 'Query' || kind === 'Execute').map(({ text }) => text.trim());
  const ofWatch = statements.filter(isOfWatch).length;
  const ofReservation = statements.filter((text) => !isRoutine(text) && !isOfWatch(text));
  if (ofReservation.length > MOST_STATEMENTS) {
    process.stderr.write(`more than ${MOST_STATEMENTS} statements:\n${ofReservation.map(inShort).join('\n')}\n`);
  }
  const borders = ofReservation.filter((text) => /^(begin|commit|rollback)\b/i.test(text)).length;
  const connects = rows.filter(({ kind }) => kind === 'Connect').length;
  return [
    {
      name: 'SQL statements, new → reserved',
      unit: '',
      provisiond: [ofReservation.length],
      goal: { atMost: MOST_STATEMENTS },
    },
    { name: '· of them begin and commit', unit: '', provisiond: [borders] },
    { name: '· beside them: the watch on the power of VMs', unit: '', provisiond: [ofWatch] },
    { name: 'SQL connections made meanwhile', unit: '', provisiond: [connects], goal: { atMost: 0 } },
  ];
}

const inShort = (text: string) => `  ${text.replace(/\s+/g, ' ').slice(0, 110)}`;

/** Poll, heartbeat and refresh; the looks at operations, and at what waits to be delivered. */
const ROUTINE = [
  /^select id, 0 as joinable from request/,
  /^select q\.id, q\.stateid, q\.laststateid/,
  /^update `?provisiond_lease/,
  /^update `?managementnode`? set `?lastcheckin/,
  /^select .*from `?variable/,
  /\bfrom `?provisiond_(operation|message|call)\b/,
];
const isRoutine = (text: string) => ROUTINE.some((pattern) => pattern.test(text));
/** It hears of every VM of the host, whoever started it, and writes down what became of it. */
const WATCH = [/\bprovisiond_vm(_block|_event)?\b/, /^select r\.computerid, q\.id as requestid, q\.laststateid/];
const isOfWatch = (text: string) => WATCH.some((pattern) => pattern.test(text));
