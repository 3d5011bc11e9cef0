/**
 * The day a site switches over: machines that vcld's libvirt module made (contract 4.3, 4.5: no metadata, IDE, its names),
 * and requests that it had in hand.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';
import { WebClient } from '../../support/web-client';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const USER = '192.0.2.7';

wherever('a machine that vcld loaded', () => {
  let site: FakeClusterSite;
  let web: WebClient;
  beforeEach(async () => {
    site = await FakeClusterSite.open();
    web = new WebClient(site.database, site.t.managementNodeId, (minutes) => site.time(minutes));
  });
  afterEach(() => site.close());

  const wanted = async () => {
    const { imageId, revisionId } = site.t.image;
    return { computers: ['vm1'], userId: await site.userId('student'), imageId, revisionId };
  };

  /** As vcld's libvirt module makes it. @param pretty the middle of its name */
  async function loadByVcld(pretty = '_TinyLinux', revision = 0): Promise<string> {
    const { imageId, revisionId, fileName } = site.t.image;
    const base = `vm1_${imageId}-v${revision}`;
    const name = `vm1${pretty}_${imageId}-v${revision}`;
    const disk = site.host.path('vms', `${base}.qcow2`);
    const master = site.host.path('datastore', `${fileName}.qcow2`);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', master, '-F', 'qcow2', disk]);
    const { eth0macaddress: mac, privateIPaddress: ip } = await site
      .database('computer')
      .where({ hostname: 'vm1.test' })
      .first<{ eth0macaddress: string; privateIPaddress: string }>();
    const entry = `<host mac='${mac}' name='vm1' ip='${ip}'/>`; // a site's own DHCP entry
    await site.host.run(['virsh', 'net-update', 'private', 'add', 'ip-dhcp-host', entry, '--live', '--config']);
    const file = site.host.path('xml', `${base}.xml`);
    writeFileSync(
      file,
      `<domain type="kvm">
  <description>image: Tiny Linux\nrevision: ${fileName}\nload time: 2024-03-01\nmanagement node: node\nrequest ID: 1\nreservation ID: 1</description>
  <name>${name}</name>
  <memory>524288</memory><vcpu>1</vcpu>
  <cpu mode="host-model"><model fallback="allow"/><topology sockets="1" cores="1" threads="1"/></cpu>
  <os><type>hvm</type></os><features><acpi/><apic/></features><clock offset="utc"/>
  <on_poweroff>preserve</on_poweroff><on_reboot>restart</on_reboot><on_crash>preserve</on_crash>
  <devices>
    <disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="${disk}"/><target dev="vda" bus="ide"/></disk>
    <interface type="network"><mac address="${mac}"/><source network="private"/><model type="rtl8139"/></interface>
    <graphics type="vnc"/>
  </devices>
</domain>
`,
    );
    await site.host.run(['virsh', 'define', file]);
    await site.host.run(['virsh', 'start', name]);
    const tags = [
      `id=${imageId}`,
      `imagerevision_id=${revisionId}`,
      'vcld_post_load=success (Fri Mar  1 12:00:00 2024)',
    ];
    await site.guests.waitFor(
      { name: 'vm1', address: ip, port: 22, user: 'root', keyFiles: [], hostKey: null },
      { timeoutMs: 5000 },
    );
    site.guests.write(name, 'root/currentimage.txt', `${[fileName, ...tags].join('\n')}\n`);
    await site
      .database('computer')
      .where({ hostname: 'vm1.test' })
      .update({
        ...{ currentimageid: imageId, imagerevisionid: revisionId, stateid: 2 },
      });
    return name;
  }

  it('is given to the next user of its image as it is, without a load', async () => {
    const name = await loadByVcld();
    await site.startNode();
    const requestId = await web.newReservation(await wanted());
    await eventually(async () => (await web.status(requestId)) === 'ready', 20);
    expect(site.host.domains()).toMatchObject([{ name, boots: 1, state: 'running' }]);
    expect(site.guests.read(name, 'etc/passwd')).toMatch(/^student:/m);
  });

  it('is removed with its disk when its user has gone', async () => {
    await loadByVcld();
    await site.startNode();
    const requestId = await web.newReservation(await wanted());
    site.letUserConnect('vm1');
    await eventually(async () => (await web.status(requestId)) === 'ready', 20);
    await web.connect(requestId, USER);
    await eventually(async () => (await site.computerState('vm1')) === 'inuse', 10);
    await web.end(requestId);
    await site.waitFor(requestId, null);
    expect(site.host.domains()).toEqual([]);
    expect(site.host.files('vms').filter((file) => file.endsWith('.qcow2'))).toEqual([]);
    expect(await site.computerState('vm1')).toBe('available');
  });

  it('and whose set-up was cut off is set up once more, and not loaded', async () => {
    const name = await loadByVcld();
    const marks = site.guests.read(name, 'root/currentimage.txt')!.replace(/^vcld_post_load.*\n/m, '');
    site.guests.write(name, 'root/currentimage.txt', marks);
    await site.startNode();
    const requestId = await web.newReservation(await wanted());
    await eventually(async () => (await web.status(requestId)) === 'ready', 20);
    expect(site.guests.read(name, 'root/currentimage.txt')).toMatch(/^vcld_post_load=success/m);
    expect(site.host.domains()).toMatchObject([{ name, boots: 1 }]);
  });

  it('that holds another image, under any name of vcld’s, gives way to a load', async () => {
    const old = await loadByVcld('', 7);
    site.guests.write(old, 'root/currentimage.txt', 'x\nimagerevision_id=999\nvcld_post_load=success\n');
    await site.startNode();
    const requestId = await web.newReservation(await wanted());
    await eventually(async () => (await web.status(requestId)) === 'ready', 30);
    expect(site.host.domains().map(({ name }) => name)).toEqual([`vm1_TinyLinux_${site.t.image.imageId}-v0`]);
  });

  it('in use when vcld was stopped stays its user’s, and goes when he ends it', async () => {
    const name = await loadByVcld();
    const { requestId } = await site.request({ state: 'inuse', lastState: 'reserved', remoteIp: USER });
    await site.database('computer').where({ hostname: 'vm1.test' }).update({ stateid: 8 });
    site.letUserConnect('vm1');
    // vcld was stopped in the middle of its look at the reservation.
    await site.database('request').where({ id: requestId }).update({ stateid: 14, laststateid: 8 });
    await site.startNode();
    await site.waitFor(requestId, 'inuse/inuse');
    expect(await web.status(requestId)).toBe('ready');
    expect(site.host.domains()).toMatchObject([{ name, boots: 1 }]);
    await web.end(requestId);
    await site.waitFor(requestId, null);
    expect(site.host.domains()).toEqual([]);
  });
});
