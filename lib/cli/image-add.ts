/** `provisiond image add`: an image file becomes an image that can be reserved. */
import type { Command } from 'commander';
import { ProvisiondError } from '../errors';
import { type Host, script } from '../host/host';
import { recordBase } from '../images/base-record';
import { cloudImageXml } from '../libvirt/domain-identity';
import type { FrontEnd, HostSummary } from '../store/front-end';
import type { App } from './app';
import { addImageFileVerbs } from './image-files';
import { addDeleteVerb } from './instance';
import { checkImageFile, uploadImage } from './image-upload';
import { type Execute, addVerb, machineName, wholeNumber } from './verb';

interface ImageOptions {
  readonly name: string;
  readonly os: string;
  readonly ram: number;
  readonly cpus: number;
  readonly host?: string;
  readonly owner: string;
  readonly cloudInit?: boolean;
}

export function addImageVerbs(program: Command, execute: Execute): void {
  const image = program.command('image').description('enter images, and look after their files on the hosts');
  addVerb(image, 'add', {
    about: "put an image file into a host's datastore and enter it as a new image",
    examples: [
      'image add debian12.qcow2 --name "Debian 12" --ram 512',
      'image add debian-12-genericcloud-amd64.qcow2 --cloud-init --name "Debian 12" --ram 1024',
    ],
  })
    .argument('<file>', 'qcow2 file on this machine, without a backing file')
    .requiredOption('--name <pretty name>', 'name that users see')
    .option('--os <name>', 'operating system, as in the OS table', 'vmwarelinux')
    .option('--ram <mib>', 'least memory of a computer for it', wholeNumber(1), 512)
    .option('--cpus <n>', 'least processors of a computer for it', wholeNumber(1, 1024), 1)
    .option('--host <name>', 'VM host; may be left out when there is only one', machineName)
    .option('--cloud-init', "a distribution's cloud image: its guests are told names, addresses and keys by a seed")
    .option('--owner <login>', 'user whom it belongs to', 'admin')
    .action((file: string, options: ImageOptions, command: Command) =>
      execute(command, (app) => addImage(app, file, options)),
    );
  addImageFileVerbs(image, execute);
  addDeleteVerb(image, execute, 'image');
}

async function addImage(app: App, file: string, options: ImageOptions): Promise<void> {
  const { config, print } = app;
  const frontEnd = await app.frontEnd();
  const { facts, name: hostName } = await chooseHost(frontEnd, options.host);
  const { datastorePath, datastoreFormat } = facts.profile;
  await checkImageFile(file, datastoreFormat);
  const host = app.hosts.get(facts);
  const upload = await uploadImage(host, file, datastorePath, {
    transport: facts.connection.transport,
    timeoutMs: config.imageTimeoutMs,
    onProgress: (bytes, total) => print.live(`copying to ${hostName}: ${Math.floor((bytes / total) * 100)} %`),
  });
  try {
    const { name: prettyName, os, ram, cpus, owner } = options;
    const sizeMiB = Math.ceil(upload.sizeBytes / 2 ** 20);
    const added = await frontEnd.addImage({ prettyName, os, ramMiB: ram, cpus, sizeMiB, owner });
    // First what says how guests of it are made: whoever sees the image finds that beside it.
    if (options.cloudInit) await writeBeside(host, `${datastorePath}/${added.fileName}.xml`, cloudImageXml());
    const path = await upload.publish(`${added.fileName}.${datastoreFormat}`);
    const place = { host, hostId: facts.computerId, records: app.open().store, timeoutMs: config.imageTimeoutMs };
    await recordBase(place, path, { imageName: added.fileName, source: `added from ${file}`, sha256: upload.sha256 });
    print.result({ ...added, host: hostName, path, sizeMiB }, () => `image "${prettyName}" is ${path} on ${hostName}`);
  } catch (error) {
    await upload.discard().catch(() => {});
    throw error;
  }
}

async function writeBeside(host: Host, file: string, content: string): Promise<void> {
  const text = 'set -eu; cat >"$1.part"; sync "$1.part"; mv -- "$1.part" "$1"';
  await host.run(script(text, file), { stdin: content });
}

async function chooseHost(frontEnd: FrontEnd, name: string | undefined): Promise<HostSummary> {
  const hosts = await frontEnd.listHosts();
  const fits = hosts.filter((host) => name === undefined || host.name === name || host.facts.shortName === name);
  if (fits.length === 1) return fits[0]!;
  const names = hosts.map((host) => host.name).join(', ') || 'none; provisiond host add enters one';
  if (name !== undefined) throw new ProvisiondError('NOT_FOUND', `there is no host ${name}; hosts: ${names}`);
  if (hosts.length === 0) {
    const hint = 'Enter one: provisiond host add --help';
    throw new ProvisiondError('NOT_FOUND', 'there is no host yet to put the image on', { hint });
  }
  throw new ProvisiondError('CONFLICT', `there are several hosts: ${names}`, { hint: 'Name one with --host' });
}
