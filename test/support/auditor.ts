/**
 * An auditor of its own: reads database, `virsh`, file system and processes with none of provisiond's code, and says what
 * nobody owns or what got stuck. Every fault test ends with it. State ids and file names are written out here on purpose:
 * a mistake in lib must not hide itself.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import SqliteDatabase from 'better-sqlite3';
import mysql from 'mysql2/promise';

const run = promisify(execFile);

export interface Audited {
  /** `sqlite:/path` or `mysql://…`. */
  readonly database: string;
  /** Folder of the disks. */
  readonly vms: string;
  /** Folder of the base images. */
  readonly datastore: string;
  readonly xmlDirectory: string;
  /** libvirt networks whose DHCP entries are looked at. */
  readonly networks?: readonly string[];
  /** Of the `virsh` that is asked; default: this process's own. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface AuditOptions {
  /** Requests that are meant to be in hand at this moment; every other pending row is stuck. */
  readonly inHand?: readonly number[];
  /** Domains that others made on purpose. */
  readonly wild?: readonly string[];
}

interface Rows {
  readonly requests: readonly { id: number; stateid: number; laststateid: number }[];
  readonly reservations: readonly { requestid: number; computerid: number }[];
  readonly computers: readonly { id: number; name: string; stateid: number; image: number; revision: number }[];
  readonly jobs: readonly { requestid: number; stateid: number }[];
  readonly operations: readonly { id: number; kind: string; step: string | null }[];
  readonly trash: readonly { folder: string }[];
}

interface Domain {
  readonly name: string;
  readonly uuid: string;
  readonly computerId: number | null;
  readonly revisionId: number | null;
  readonly disks: readonly string[];
  readonly macs: readonly string[];
}

const PENDING = 14;
const AT_REST = [5, 10, 12]; // failed, maintenance, complete
const OCCUPIED: Readonly<Record<number, string>> = {
  3: 'reserved',
  6: 'reloading',
  8: 'inuse',
  11: 'timeout',
  19: 'reload',
};
const NO_IMAGE = 1;

/** @returns a sentence for each thing that should not be; empty when all is well */
export async function audit(what: Audited, options: AuditOptions = {}): Promise<string[]> {
  const rows = await readRows(what.database);
  const virsh = virshIn(what.env ?? process.env);
  const domains = await readDomains(virsh);
  const owned = domains.filter((domain) => isOwned(domain, rows));
  return [
    ...auditRows(rows, options.inHand ?? []),
    ...auditDomains(domains, owned, options.wild ?? []),
    ...(await auditFiles(what, rows, domains, owned)),
    ...(await auditAddresses(virsh, what.networks ?? ['private'], owned)),
    ...auditProcesses(what),
  ].sort();
}

// ---------------------------------------------------------------------------------------------------- rows

function auditRows({ requests, reservations, computers, jobs, operations }: Rows, inHand: readonly number[]): string[] {
  const pending = requests.filter(({ stateid }) => stateid === PENDING);
  const stuck = pending.filter(({ id }) => !inHand.includes(id));
  const idle = jobs.filter(({ requestid }) => !pending.some(({ id }) => id === requestid));
  const lost = computers.filter(
    ({ id, stateid }) => OCCUPIED[stateid] && !liveRequestOf(id, { requests, reservations }),
  );
  return [
    ...stuck.map(({ id, laststateid }) => `request ${id} is stuck in pending (from state ${laststateid})`),
    ...idle.map(({ requestid }) => `claim of request ${requestid}, which is not pending`),
    ...operations.map(({ id, kind, step }) => `operation ${id} (${kind}) is stuck at '${step}'`),
    ...lost.map(({ name, stateid }) => `computer ${name} is ${OCCUPIED[stateid]} for nobody`),
  ];
}

function liveRequestOf(computerId: number, { requests, reservations }: Pick<Rows, 'requests' | 'reservations'>) {
  const ids = reservations.filter(({ computerid }) => computerid === computerId).map(({ requestid }) => requestid);
  return requests.find(({ id, stateid }) => ids.includes(id) && !AT_REST.includes(stateid));
}

async function readRows(database: string): Promise<Rows> {
  const query = database.startsWith('sqlite:') ? sqliteQuery(database.slice(7)) : await mysqlQuery(database);
  try {
    return {
      requests: await query.all('select id, stateid, laststateid from request'),
      reservations: await query.all('select requestid, computerid from reservation'),
      computers: await query.all(
        `select id, hostname as name, stateid, currentimageid as image, imagerevisionid as revision from computer`,
      ),
      jobs: await query.all('select requestid, stateid from provisiond_job'),
      operations: await query.all("select id, kind, step from provisiond_operation where state = 'working'"),
      trash: await query.all('select folder from provisiond_trash'),
    };
  } finally {
    await query.end();
  }
}

interface Query {
  all<T>(sql: string): Promise<T[]>;
  end(): Promise<void>;
}

function sqliteQuery(file: string): Query {
  const db = new SqliteDatabase(file, { readonly: true, timeout: 10_000 });
  return { all: async <T>(sql: string) => db.prepare(sql).all() as T[], end: async () => void db.close() };
}

async function mysqlQuery(url: string): Promise<Query> {
  const db = await mysql.createConnection(url);
  return { all: async <T>(sql: string) => (await db.query(sql))[0] as T[], end: () => db.end() };
}

// ---------------------------------------------------------------------------------------------------- domains

/** Of a computer that a live request has, or that is kept ready with exactly that image. */
function isOwned({ computerId, revisionId }: Domain, rows: Rows): boolean {
  if (computerId === null) return false;
  if (liveRequestOf(computerId, rows)) return true;
  const computer = rows.computers.find(({ id }) => id === computerId);
  return computer !== undefined && computer.image !== NO_IMAGE && computer.revision === revisionId;
}

function auditDomains(domains: readonly Domain[], owned: readonly Domain[], wild: readonly string[]): string[] {
  const others = domains.filter((domain) => !owned.includes(domain) && !wild.includes(domain.name));
  const doubles = owned.filter((one) => owned.some((other) => other !== one && other.computerId === one.computerId));
  return [
    ...others.map(({ name, computerId }) => `${computerId === null ? 'wild' : 'orphan'} domain ${name}`),
    ...doubles.map(({ name, computerId }) => `domain ${name} is one of several of computer ${computerId}`),
  ];
}

type Virsh = (...argv: string[]) => Promise<string>;

function virshIn(env: NodeJS.ProcessEnv): Virsh {
  return async (...argv) =>
    (await run('virsh', ['-q', '-c', 'qemu:///system', ...argv], { timeout: 30_000, env })).stdout;
}

async function readDomains(virsh: Virsh): Promise<Domain[]> {
  const uuids = (await virsh('list', '--all', '--uuid')).split('\n').filter((line) => line !== '');
  return Promise.all(uuids.map(async (uuid) => readDomain(uuid, await virsh('dumpxml', '--inactive', uuid))));
}

function readDomain(uuid: string, xml: string): Domain {
  const identity = /<provisiond:identity\b[^>]*>/.exec(xml)?.[0] ?? '';
  const number = (name: string) => {
    const found = new RegExp(`\\b${name}=["'](\\d+)["']`).exec(identity)?.[1];
    return found === undefined ? null : Number(found);
  };
  return {
    name: /<name>([^<]*)<\/name>/.exec(xml)?.[1] ?? uuid,
    uuid,
    computerId: number('computerId'),
    revisionId: number('imageRevisionId'),
    disks: [...xml.matchAll(/<source file=["']([^"']*)["']/g)].map(([, file]) => file!),
    macs: [...xml.matchAll(/<mac address=["']([^"']*)["']/g)].map(([, mac]) => mac!.toLowerCase()),
  };
}

// ---------------------------------------------------------------------------------------------------- files

async function auditFiles(
  { vms, datastore, xmlDirectory }: Audited,
  { computers, trash }: Rows,
  domains: readonly Domain[],
  owned: readonly Domain[],
): Promise<string[]> {
  const bases = owned.flatMap(({ disks }) => disks).map((disk) => path.basename(disk).replace(/\.[^.]*$/, ''));
  // The note of who works a computer stays, so that a command which outlived its daemon finds itself overtaken.
  // So does what an admin asked to keep of a crashed guest.
  const kept = computers.map(({ name }) => name.split('.')[0]).flatMap((name) => [`.${name}.load`, `${name}.core`]);
  const strangers = [vms, xmlDirectory].flatMap((folder) =>
    filesIn(folder).filter((file) => {
      const name = path.basename(file);
      if (name.includes('.part')) return true;
      if (name === '.trash') return false; // looked at below
      return !kept.includes(name) && !bases.some((base) => name.startsWith(`${base}.`));
    }),
  );
  const parts = filesIn(datastore).filter((file) => file.includes('.part'));
  const forgotten = filesIn(path.join(vms, '.trash')).filter((folder) => !trash.some((row) => row.folder === folder));
  const gone = owned.flatMap(({ name, disks }) =>
    disks.filter((disk) => !existsSync(disk)).map((disk) => `domain ${name} has lost its disk ${disk}`),
  );
  const locks = [vms, datastore].flatMap(filesIn).filter((file) => /\.(lock|load)$/.test(file));
  const held = await Promise.all(locks.map(async (lock) => ((await isHeld(lock)) ? [`lock ${lock} is held`] : [])));
  const users = new Set(domains.flatMap(({ disks }) => disks));
  return [
    ...[...strangers, ...parts].map((file) => `orphan file ${file}${users.has(file) ? ' (a domain uses it)' : ''}`),
    ...forgotten.map((folder) => `trash ${folder} that no row knows`),
    ...gone,
    ...held.flat(),
  ];
}

function filesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).map((name) => path.join(folder, name)) : [];
}

async function isHeld(lock: string): Promise<boolean> {
  return run('flock', ['-n', lock, 'true']).then(
    () => false,
    () => existsSync(lock),
  );
}

// ---------------------------------------------------------------------------------------------------- addresses, processes

async function auditAddresses(virsh: Virsh, networks: readonly string[], owned: readonly Domain[]): Promise<string[]> {
  const macs = new Set(owned.flatMap((domain) => domain.macs));
  const entries = await Promise.all(
    networks.map(async (network) => [...(await virsh('net-dumpxml', network)).matchAll(/<host mac='([^']*)'[^>]*>/g)]),
  );
  return entries.flat().flatMap(([entry, mac]) => (macs.has(mac!.toLowerCase()) ? [] : [`DHCP entry ${entry}`]));
}

/** Commands of ours that still write something although nobody waits for them. */
function auditProcesses({ vms, datastore }: Audited): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    let command = '';
    try {
      command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    } catch {
      return []; // it ended meanwhile
    }
    const concerns = command.includes('.part') && [vms, datastore].some((folder) => command.includes(folder));
    return concerns ? [`process ${pid} still runs: ${command.slice(-120)}`] : [];
  });
}
