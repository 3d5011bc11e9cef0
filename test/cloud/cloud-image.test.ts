/** A reservation of a distribution's cloud image, which nobody has prepared for VCL or provisiond (test/lab/cloud-image). */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import { USER } from '../support/site-rows';

const IMAGE = process.env['PROVISIOND_CLOUD_IMAGE'] ?? '';
const PROGRAM = path.join(__dirname, '../../dist/lib/main.js');
const GUEST = '192.168.121.11';

describe('an unmodified cloud image', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.open({ withoutDaemon: true, settings: { guestBootTimeoutMs: 600_000 } });
    const config = path.join(site.folder, 'cli.yaml');
    writeFileSync(config, JSON.stringify({ ...site.config, sshKeyFiles: [site.lab.sshKeyFile] }), { mode: 0o600 });
    const words = ['image', 'add', IMAGE, '--cloud-init', '--name', 'Debian Cloud', '--ram', '512', '--config', config];
    execFileSync(process.execPath, [PROGRAM, ...words]);
    await site.startDaemon();
  });
  afterAll(() => site?.close());

  it('is reserved like any other: its guest gets name, addresses and keys by a seed, its user gets in with his password', async () => {
    const { requestId } = await site.frontEnd.addReservation({
      ...{ image: 'Debian Cloud', user: USER, start: null, minutes: 60, computer: 'vm1' },
    });
    await site.waitUntilReady(requestId, 700);
    expect((await site.inGuest(GUEST, 'hostname')).trim()).toBe('vm1');
    expect((await site.inGuest(GUEST, 'cat /run/cloud-init/cloud-id')).trim()).toBe('nocloud');
    expect(await site.inGuest(GUEST, 'cut -d: -f1 /etc/passwd')).not.toMatch(/^debian$/m);
    expect(readdirSync(site.vms).filter((name) => name.endsWith('.seed.iso'))).toHaveLength(1);

    // Nobody is let in before he acknowledges. Then it is the guest's own sshd; emulated, it takes its time.
    const shown = await site.frontEnd.connect(requestId, '192.168.122.1');
    await eventually(async () => (await site.asUser(shown, 'id -un').catch(() => '')).trim() === USER, 240);

    await site.frontEnd.end(requestId);
    await site.waitForRequest(requestId, null, 120);
  }, 1_200_000);
});
