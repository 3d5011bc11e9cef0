/** The copy of a capture beside one plain `qemu-img convert` of the same disk, in turns. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LocalHost } from '../../lib/host/local-host';
import { LibvirtProvisioner } from '../../lib/libvirt/libvirt-provisioner';
import type { Log } from '../../lib/log';
import { makeHostedReservation } from '../fixtures/hosted-reservation';
import type { Lab } from '../support/lab';
import type { Measure } from './measure';

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
const elapsed = async (work: () => Promise<unknown>) => {
  const startedAt = performance.now();
  await work();
  return Math.round(performance.now() - startedAt);
};

/** A gigabyte of disk with 640 MiB in its base, a quarter of it random, and 100 MiB in its overlay. */
const MAKE_DISKS = `
set -eu
head -c 160M /dev/urandom > "$1/raw"
truncate -s 2G "$1/raw"
qemu-img convert -f raw -O qcow2 "$1/raw" "$2"
rm "$1/raw"
qemu-io -f qcow2 -c 'write -q -P 170 512M 480M' "$2"
qemu-img create -q -f qcow2 -F qcow2 -b "$2" "$3"
qemu-io -f qcow2 -c 'write -q -P 85 1200M 100M' "$3"
`;

/** The floor syncs as well: a copy that is lost with the power is none. Each goes before the next: no disk fills up. */
export async function measureCaptures(lab: Lab, rounds: number, say: (text: string) => void): Promise<Measure[]> {
  const folder = path.join(lab.folder, 'captures');
  for (const name of ['images', 'vms']) mkdirSync(path.join(folder, name), { recursive: true });
  const host = new LocalHost({ name: 'host1' });
  const reservation = makeHostedReservation({
    profile: { datastorePath: path.join(folder, 'images'), vmPath: path.join(folder, 'vms') },
  });
  const { computer, image } = reservation;
  const overlay = path.join(folder, 'vms', `${computer.shortName}_${image.id}-v${image.revision}.qcow2`);
  run('sh', '-c', MAKE_DISKS, 'sh', folder, path.join(folder, 'images', 'base.qcow2'), overlay);
  const domain = `${computer.shortName}_bench_${image.id}-v${image.revision}`;
  writeFileSync(path.join(folder, 'domain.xml'), domainXml(domain, overlay));
  run('virsh', '-q', 'define', path.join(folder, 'domain.xml'));
  const [own, floor]: [number[], number[]] = [[], []];
  try {
    for (let round = 0; round < rounds; round++) {
      const settings = { xmlDirectory: folder, imageTimeoutMs: 600_000 };
      const parts = { reservation, loadId: `bench-${round}`, host, settings, log: silent };
      const { image: capture } = new LibvirtProvisioner(parts, { chooseDriver: () => Promise.reject(new Error()) })
        .capture;
      await capture.exists(); // the steps before the copy have looked at host and files
      own.push(await elapsed(() => capture.make({ signal: new AbortController().signal, onPercent: () => {} })));
      await capture.remove();
      const copy = path.join(folder, 'images', 'plain.qcow2');
      const convert = 'qemu-img convert -f qcow2 -O qcow2 "$1" "$2" && sync "$2"';
      floor.push(await elapsed(() => host.run(['sh', '-c', convert, 'sh', overlay, copy], { timeoutMs: 600_000 })));
      rmSync(copy);
      say(`capture ${round + 1} of ${rounds}: provisiond ${own.at(-1)} ms; floor ${floor.at(-1)} ms`);
    }
  } finally {
    run('virsh', '-q', 'undefine', domain);
    await host.close();
    rmSync(folder, { recursive: true, force: true });
  }
  const name = 'copy of a capture: 640 MiB base, 100 MiB overlay';
  return [{ name, unit: 'ms', provisiond: own, floor, goal: { ratio: 1.1 } }];
}

function domainXml(name: string, disk: string): string {
  const driver = "<driver name='qemu' type='qcow2'/>";
  return `<domain type='qemu'><name>${name}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os><devices>
    <disk type='file' device='disk'>${driver}<source file='${disk}'/><target dev='vda' bus='virtio'/></disk>
  </devices></domain>`;
}
