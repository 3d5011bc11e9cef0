/** `provisiond plugins --new NAME`: a commented skeleton in the folder at hand. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { ProvisiondError } from '../errors';
import type { PluginKind } from '../plugins/plugin-shape';
import type { App } from './app';

/** @throws CONFLICT when the file is there already */
export function newPlugin({ print }: App, name: string, kind: PluginKind): Promise<void> {
  const file = path.resolve(`${name}.js`);
  try {
    writeFileSync(file, skeletonOf(kind, name), { flag: 'wx', mode: 0o644 });
  } catch (cause) {
    const there = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    throw new ProvisiondError(there ? 'CONFLICT' : 'NOT_FOUND', `cannot make ${file}`, { cause });
  }
  const folder = kind === 'driver' ? 'drivers' : 'os-modules';
  print.result(
    { file },
    () => `${file} is made. Try it: provisiond plugins --test ${file}; then put it into ${folder}/`,
  );
  return Promise.resolve();
}

export function skeletonOf(kind: PluginKind, name: string): string {
  return (kind === 'driver' ? DRIVER : OS_MODULE).replaceAll('NAME', name);
}

const DRIVER = `/** What kind of guests this driver makes, and on what. */
module.exports = {
  apiVersion: 1,
  name: 'NAME',
  description: 'one line for: provisiond plugins',

  // <domain type=…> and <driver name=…> of its disks. domainType may be a function of the host.
  domainType: 'qemu',
  diskDriverName: 'qemu',
  // Formats of disks that its guests can run from, the preferred one first.
  diskFormats: ['qcow2', 'raw'],
  // Of firmware, uefi, kernel and bootloader; others are refused when they are asked for.
  bootMethods: ['firmware'],

  // Can it drive that host? Changes nothing. Claim only what no other driver does: two that claim a host are refused.
  probe({ domainTypes, capabilities }) {
    return { usable: false, reason: 'say here what must be there: ' + domainTypes.join(', ') };
  },

  // Makes the disk context.disk. Is called again after a crash: what is there already is left as it is.
  async preDefine({ images, disk }) {
    const base = await images.ensureBase(disk.format);
    if (disk.format === 'qcow2') await images.createOverlay(base, disk);
    else await images.copyBase(base, disk);
  },

  // Pure: gets a copy of the default tree, returns the tree to be defined. Every child is an array, $ has attributes.
  extendDomainXml({ domain }, { boot, reservation }) {
    return { domain };
  },
};
`;

const OS_MODULE = `/** What kind of guests this module sets up. Every stage is optional, and safe to repeat from its beginning. */
module.exports = {
  apiVersion: 1,
  name: 'NAME',
  description: 'one line for: provisiond plugins',

  // What is on the machine? Scripts are constant text for a POSIX shell; they answer with lines "@@name value".
  async status({ guest }) {
    const { image } = await guest.script('status', 'cd && [ ! -f image ] || echo "@@image $(cat image)"');
    return { imageRevisionId: image ? Number(image) : null, postLoadDone: Boolean(image), tainted: false };
  },

  // First set-up after a load. Data come as $1, $2 …; a line "@@error message" is the reason of a failure.
  async postLoad({ guest, reservation }) {
    await guest.script('post-load', 'cd && echo "$1" > image || echo "@@error no room"', [
      reservation.image.revisionId,
    ]);
  },

  // Makes the accounts. Secrets go by standard input, never as arguments.
  async reserve({ guest, accounts }) {
    const lines = accounts.filter(({ password }) => password).map(({ login, password }) => login + ':' + password);
    await guest.script('accounts', 'chpasswd', [], lines.join('\\n') + '\\n');
    return {};
  },
};
`;
