/**
 * The whole tree of image files of a site in the lab, after whatever was done there: every file in the folders of its host is
 * known, `provisiond image list` says of each what qemu-img says, and the rows say of each base what the file is.
 * Looks with none of provisiond's code but that command.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './eventually';
import type { Site } from './site';

const run = promisify(execFile);
const PROGRAM = path.join(__dirname, '../../dist/lib/main.js');

interface ListedFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly overlays: readonly ListedFile[];
}

interface ListedHost {
  readonly host: string;
  readonly error: string | null;
  readonly bases: readonly ListedFile[];
  readonly broken: readonly { readonly path: string; readonly backing: string }[];
}

interface BaseRow {
  readonly path: string;
  readonly size: number | string;
  readonly virtualsize: number | string;
  readonly format: string;
  readonly sha256: string;
  readonly damage: string | null;
}

/** @returns a sentence for everything that is not as it should be */
export async function auditImages(site: Site, repository: string | null = null): Promise<string[]> {
  if (site.daemon) await eventually(async () => (await unreadSums(site)) === 0, 60);
  const listed = await listImages(site);
  const chains = new Map(listed.flatMap(({ bases }) => bases.flatMap((base) => chainsOf(base))));
  const known = await knownNames(site);
  const files = [site.datastore, site.vms, ...(repository ? [repository] : [])].flatMap(filesBelow);
  const images = files.filter((file) => /\.(qcow2|raw|img|vmdk|vdi)$/.test(file));
  const onHost = images.filter((file) => repository === null || !file.startsWith(repository));
  return [
    ...listed.flatMap(({ host, error }) => (error === null ? [] : [`host ${host} is not listed: ${error}`])),
    ...listed.flatMap(({ broken }) =>
      broken.map((file) => `${file.path} stands on ${file.backing}, which is not there`),
    ),
    ...files.filter((file) => !known.some((is) => is(file))).map((file) => `unknown file ${file}`),
    ...(await Promise.all(onHost.map((file) => auditChain(file, chains.get(file))))).flat(),
    ...[...chains.keys()].filter((file) => !existsSync(file)).map((file) => `${file} is listed and is not there`),
    ...(await auditRows(site)),
  ];
}

async function listImages(site: Site): Promise<ListedHost[]> {
  const config = path.join(site.folder, 'audit.yaml');
  writeFileSync(config, JSON.stringify(site.config), { mode: 0o600 });
  const { stdout } = await run(process.execPath, [PROGRAM, 'image', 'list', '--json', '--config', config]).catch(
    // It ends with a failure where overlays are broken, and says which all the same.
    (error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }),
  );
  return JSON.parse(stdout) as ListedHost[];
}

/** Of each file the chain down to its base, itself first. */
function chainsOf(file: ListedFile, below: readonly string[] = []): [string, readonly string[]][] {
  const chain = [file.path, ...below];
  return [[file.path, chain], ...file.overlays.flatMap((overlay) => chainsOf(overlay, chain))];
}

async function auditChain(file: string, listed: readonly string[] | undefined): Promise<string[]> {
  if (listed === undefined) return [`image list does not know ${file}`];
  const format = path.extname(file).slice(1);
  const argv = ['info', '-U', '--backing-chain', '--output=json', '-f', format, file];
  const { stdout } = await run('qemu-img', argv);
  const chain = JSON.parse(stdout) as Record<string, string | undefined>[];
  const said = chain.map(({ filename }) => filename);
  const guessed = chain.filter((one) => one['backing-filename'] && !one['backing-filename-format']);
  return [
    ...(said.join() === listed.join()
      ? []
      : [`${file}: qemu-img says ${said.join(' ← ')}, the list ${listed.join(' ← ')}`]),
    ...guessed.map(({ filename }) => `${filename} does not say the format of its backing file`),
  ];
}

/** The rows of the bases against the files. */
async function auditRows(site: Site): Promise<string[]> {
  const rows = await site.database('provisiond_base').select<BaseRow[]>();
  const found = await Promise.all(
    rows.map(async ({ path: file, size, virtualsize, format, sha256, damage }) => {
      if (!existsSync(file)) return [`${file} is recorded and is not there`];
      const { stdout: sum } = await run('sha256sum', [file]);
      const { stdout } = await run('qemu-img', ['info', '-U', '--output=json', '-f', format, file]);
      const info = JSON.parse(stdout) as Record<string, unknown>;
      const { size: bytes, mode } = statSync(file);
      return [
        ...(damage === null ? [] : [`${file} is said to be damaged: ${damage}`]),
        ...(sha256 === sum.slice(0, 64) ? [] : [`${file} has not its recorded checksum '${sha256}'`]),
        ...(Number(size) === bytes ? [] : [`${file} has ${bytes} bytes, and ${size} are recorded`]),
        ...(Number(virtualsize) === info['virtual-size'] ? [] : [`${file} has another virtual size than recorded`]),
        ...((mode & 0o222) === 0 ? [] : [`${file} can be written to`]),
      ];
    }),
  );
  return found.flat();
}

async function unreadSums(site: Site): Promise<number> {
  return (await site.database('provisiond_base').where({ sha256: '' })).length;
}

// ------------------------------------------------------------------------------------------------ what may be there

type IsKnown = (file: string) => boolean;

async function knownNames(site: Site): Promise<IsKnown[]> {
  const names = (await site.database('imagerevision').select<{ imagename: string }[]>('imagename')).map(
    (row) => row.imagename,
  );
  const recorded = (await site.database('provisiond_base').select<{ path: string }[]>('path')).map((row) => row.path);
  const volumes = (await site.database('provisiond_volume').select<{ path: string }[]>('path')).map((row) => row.path);
  const trash = (await site.database('provisiond_trash').select<{ folder: string }[]>('folder')).map(
    (row) => row.folder,
  );
  const computers = (await site.database('computer').select<{ hostname: string }[]>('hostname')).map(
    ({ hostname }) => hostname.split('.')[0]!,
  );
  const disks = await disksOfDomains(site);
  const stem = (file: string) => path.basename(file).replace(/\.[^.]*$/, '');
  const isOf = (stems: readonly string[], file: string, endings: RegExp) =>
    stems.some(
      (name) => path.basename(file).startsWith(`${name}.`) && endings.test(path.basename(file).slice(name.length)),
    );
  return [
    (file) => recorded.includes(file),
    (file) => !file.startsWith(site.vms) && isOf(names, file, /^\.(qcow2|raw|vmdk|vdi|xml|qcow2\.sha256)$/),
    // Locks of images stay, and so do the notes of who works a computer.
    (file) =>
      !file.startsWith(site.vms) &&
      isOf(
        names.map((name) => `.${name}`),
        file,
        /^\.(retrieval\.)?lock$/,
      ),
    (file) => recorded.some((base) => path.basename(file) === `.${stem(base)}.lock`),
    // Of bases that were removed as well: a lock that somebody waits for must not go.
    (file) => /^\.[^/]+\.base-\d+\.[^/]+\.lock$/.test(path.basename(file)),
    (file) =>
      isOf(
        computers.map((name) => `.${name}`),
        file,
        /^\.(load|core)$/,
      ),
    (file) => disks.includes(file) || volumes.includes(file),
    (file) => isOf(disks.map(stem), file, /^\.(seed\.iso|console\.log|nvram)$/),
    (file) => trash.some((folder) => file.startsWith(`${folder}/`)),
  ];
}

/** Of all domains, what their disks stand on included. */
async function disksOfDomains(site: Site): Promise<string[]> {
  const definitions = await Promise.all(
    (await site.domains()).map((name) => site.virsh('dumpxml', '--inactive', name)),
  );
  const disks = definitions.flatMap((xml) => [...xml.matchAll(/<source file='([^']*)'/g)].map(([, file]) => file!));
  const chains = await Promise.all(
    disks
      .filter((file) => file.endsWith('.qcow2'))
      .map(async (file) => {
        const argv = ['info', '-U', '--backing-chain', '--output=json', '-f', 'qcow2', file];
        return (JSON.parse((await run('qemu-img', argv)).stdout) as { filename: string }[]).map((one) => one.filename);
      }),
  );
  return [...new Set([...disks, ...chains.flat()])];
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}
