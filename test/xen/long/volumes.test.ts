/**
 * Changes of what a VM is made of, on a real Xen host, through rows and the daemon: volumes, restore, undo, the automatic return,
 * a base and its clone, an instance. The guest is a paravirtual Linux; what is in its data volume is a pattern that qemu-io writes and reads.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import path from 'node:path';
import type { OperationDetails } from '../../../lib/store/vm-front-end';
import { ask, ended } from '../../support/operate';
import { eventually } from '../../support/eventually';
import type { Site } from '../../support/site';
import { XenGuest } from '../../support/xen-guest';
import { MINUTE, openXenSite } from '../../support/xen-site';

// Each begins where the one before it ended: none can be tried again by itself.
jest.retryTimes(0);

const MIB = 1 << 20;
/** Long enough for somebody to pull the plug meanwhile. */
const PROOF_MS = 20_000;
const MAC = '52:54:00:0b:00:41';
/** Guests of Xen obey their button, sooner or later. */
const PATIENT = { timeoutSeconds: 90, hard: true };

let site: Site;
let guest: XenGuest;
let clone: XenGuest;

const definition = (domain: string) => site.virsh('dumpxml', '--inactive', domain);
async function disks({ domain }: XenGuest): Promise<Record<string, string>> {
  const blocks = (await definition(domain)).match(/<disk[\s\S]*?<\/disk>/g) ?? [];
  const part = (block: string, pattern: RegExp) => pattern.exec(block)![1]!;
  return Object.fromEntries(
    blocks.map((block) => [part(block, /<target dev='([^']*)'/), part(block, /<source file='([^']*)'/)]),
  );
}
async function infoOf(file: string): Promise<Record<string, unknown>> {
  const text = await site.vmHost.run('qemu-img', 'info', '-U', '--output=json', file);
  return JSON.parse(text) as Record<string, unknown>;
}
const qemuIo = (file: string, command: string) => site.vmHost.run('qemu-io', '-f', 'qcow2', '-c', command, file);
const begin = (computer: string | null, kind: string, more: object = {}) => ask(site, computer, kind, more);
const end = (operation: { readonly id: number }) => ended(site, operation, 600);
const act = async (computer: string | null, kind: string, more: object = {}) => end(await begin(computer, kind, more));
async function well(computer: string | null, kind: string, more: object = {}): Promise<OperationDetails> {
  const operation = await act(computer, kind, more);
  expect([kind, operation.error]).toEqual([kind, null]);
  return operation;
}
/** What a VM is known by. */
const identity = (xml: string) => ['uuid', 'name', 'mac address'].map((tag) => new RegExp(`<${tag}.*`).exec(xml)?.[0]);

beforeAll(async () => {
  site = await openXenSite({ startProofMs: PROOF_MS });
  guest = await XenGuest.define(site, 'vm1', 'pv');
  const own = ['--mac', MAC, '--model', 'netfront', '--config'];
  await site.virsh('attach-interface', guest.domain, 'network', 'private', ...own);
}, 5 * MINUTE);
afterAll(() => site?.close(), 2 * MINUTE);

describe('what a VM on Xen is made of', () => {
  const home = async () => (await disks(guest)).xvdb!;
  const holdsData = async () => expect(await qemuIo(await home(), `read -P 0xdd ${MIB} 64k`)).not.toMatch(/failed/);
  let before: { xml: string; root: string };

  it(
    'a data volume comes onto the next place of its bus',
    async () => {
      await well('vm1', 'add_volume', { volume: 'home', sizeMiB: 4 });
      expect(path.basename(await home())).toBe('vm1.data-home-g1.qcow2');
      await qemuIo(await home(), `write -P 0xdd ${MIB} 64k`);
      before = { xml: await definition(guest.domain), root: (await disks(guest)).xvda! };
    },
    5 * MINUTE,
  );

  it(
    'restored while it runs, it boots from a new disk on its image; identity and data stay',
    async () => {
      await well('vm1', 'start');
      await guest.untilBooted(1);
      const { result } = await well('vm1', 'restore', PATIENT);
      expect(result).toHaveProperty('undoUntil');
      const { xvda } = await disks(guest);
      expect(path.basename(xvda!)).toMatch(/\.root-g1\.qcow2$/);
      expect(await infoOf(xvda!)).toMatchObject({ 'full-backing-filename': site.masterFile });
      expect(await guest.condition()).toBe('Running');
      await guest.untilBooted(2);
      expect(identity(await definition(guest.domain))).toEqual(identity(before.xml));
    },
    10 * MINUTE,
  );

  it(
    'that is cut off while it is to prove itself on a new disk runs on its old one again',
    async () => {
      const now = await disks(guest);
      const restore = await begin('vm1', 'restore', PATIENT);
      await eventually(async () => {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        return /watch it run/.test((await site.frontEnd.showOperation(restore.id)).step ?? '');
      }, 300);
      await site.virsh('destroy', guest.domain);
      expect((await end(restore)).error).toMatchObject({ code: 'DOMAIN_START_FAILED' });
      expect(await disks(guest)).toEqual(now);
      expect(await guest.condition()).toBe('Running');
    },
    12 * MINUTE,
  );

  it(
    'an undo of the restore brings the old disk back',
    async () => {
      await well('vm1', 'undo', { ...PATIENT, timeoutSeconds: 5 });
      expect((await disks(guest)).xvda).toBe(before.root);
      expect(identity(await definition(guest.domain))).toEqual(identity(before.xml));
      await well('vm1', 'hard_shutdown');
      await holdsData();
    },
    10 * MINUTE,
  );

  it(
    'as a base it stays off; another VM becomes its clone, boots, and stands alone after it was flattened',
    async () => {
      clone = await XenGuest.define(site, 'vm2', 'pv');
      const { result } = await well('vm1', 'prepare_base');
      const [root, data] = (result as { base: string[] }).base;
      expect((await site.vmHost.run('stat', '-c', '%a', root!, data!)).split('\n').slice(0, 2)).toEqual(['444', '444']);
      expect((await act('vm1', 'start')).error).toMatchObject({ code: 'OPERATION_BLOCKED' });
      await well('vm2', 'clone', { base: 'vm1' });
      const own = await disks(clone);
      expect(await infoOf(own.xvda!)).toMatchObject({ 'full-backing-filename': root });
      expect(await qemuIo(own.xvdb!, `read -P 0xdd ${MIB} 64k`)).not.toMatch(/failed/);
      await well('vm2', 'start');
      await clone.untilBooted(1);
      await well('vm2', 'hard_shutdown');
      await well('vm2', 'flatten');
      for (const file of Object.values(await disks(clone))) {
        expect(await infoOf(file)).not.toHaveProperty('backing-filename');
      }
      await well('vm1', 'remove_base');
      await holdsData();
    },
    15 * MINUTE,
  );

  it(
    'one of an appliance is copied while its processors stand still, and boots from its instance when it is deployed again',
    async () => {
      await site.frontEnd.createAppliance('shop');
      await site.frontEnd.addToAppliance('shop', ['vm2']);
      await well('vm2', 'start');
      await clone.untilBooted(2);
      await well(null, 'capture_instances', { appliance: 'shop', update: true });
      const [instance] = await site.frontEnd.listInstances();
      expect(instance!.consistency).toBe('crash-consistent');
      expect(await clone.condition()).toBe('Halted');
      await well(null, 'deploy_appliance', { appliance: 'shop' });
      expect(await infoOf((await disks(clone)).xvda!)).toMatchObject({
        'full-backing-filename': instance!.files[0]!.path,
      });
      await clone.untilBooted(3);
    },
    15 * MINUTE,
  );
});
