/** What happens to real guests behind the back of the daemon, and what it knows of it; and guests that do not obey. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, truncateSync } from 'node:fs';
import path from 'node:path';
import type { OperationDetails, VmDetails } from '../../lib/store/vm-front-end';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import { defineTinyGuest, type Manners } from '../support/tiny-guest';

const BOOT_MS = 2500;
/** Rows are true within 5 s; on a machine that is busy with other tests it gets three times as long. */
const SOON = process.env.PROVISIOND_LIFE === 'long' ? 5 : 15;

let site: Site;
let domain = '';

beforeAll(async () => {
  site = await Site.open({ settings: { retryDelayMs: 100 } });
});
afterAll(async () => site.close());

async function begin(manners: Manners): Promise<void> {
  if (domain !== '') {
    await site.virsh('destroy', domain).catch(() => {});
    await site.virsh('undefine', domain, '--managed-save', '--snapshots-metadata').catch(() => {});
  }
  domain = await defineTinyGuest(site, 'vm1', manners);
  await site.virsh('start', domain);
  await known(({ powerState }) => powerState === 'Running');
  await new Promise((resolve) => setTimeout(resolve, BOOT_MS));
}

async function known(so: (vm: VmDetails) => boolean): Promise<VmDetails> {
  let vm = await site.frontEnd.showVm('vm1');
  const isKnown = async () => so((vm = await site.frontEnd.showVm('vm1')));
  await eventually(isKnown, SOON, () => `the VM is known as ${JSON.stringify(vm)}`);
  return vm;
}

/** How long something that virsh does takes to be known, in seconds. */
async function delayOf(verb: string, so: (vm: VmDetails) => boolean): Promise<number> {
  await site.virsh(verb, domain);
  const since = performance.now();
  await known(so);
  return (performance.now() - since) / 1000;
}

/** Processes of the host that listen to libvirt's events. */
function listeners(): number[] {
  return execFileSync('sh', ['-c', "pgrep -f '^virsh -q event --all' || true"])
    .toString()
    .split('\n')
    .filter(Boolean)
    .map(Number);
}

async function restartLibvirtd(): Promise<void> {
  const old = libvirtd();
  process.kill(old, 'SIGTERM');
  await eventually(async () => !existsSync(`/proc/${old}`), 30);
  spawn('libvirtd', ['-d'], { stdio: 'ignore', detached: true }).unref();
  await eventually(
    async () =>
      site.virsh('list').then(
        () => true,
        () => false,
      ),
    30,
  );
}

async function act(kind: string, more: object = {}): Promise<OperationDetails> {
  const wish = { kind, computer: 'vm1', arguments: more, requestedBy: 'the test' };
  const { id } = await site.frontEnd.addOperation(wish);
  await eventually(async () => (await site.frontEnd.showOperation(id)).ended !== null, 60);
  return site.frontEnd.showOperation(id);
}

const state = async () => (await site.virsh('domstate', domain)).trim();

describe('a guest that obeys', () => {
  beforeEach(() => begin('obedient'));

  it('shuts down, suspends, comes back, reboots; and what it does by itself is known', async () => {
    expect(await act('suspend')).toMatchObject({ state: 'done', result: { powerState: 'Suspended' } });
    expect(await act('start')).toMatchObject({ error: { code: 'VM_BAD_POWER_STATE' } });
    expect(await act('resume', { paused: true })).toMatchObject({ state: 'done' });
    expect(await act('unpause')).toMatchObject({ state: 'done' });
    expect(await act('clean_reboot', { timeoutSeconds: 30 })).toMatchObject({ state: 'done' });
    await new Promise((resolve) => setTimeout(resolve, BOOT_MS));
    await site.virsh('suspend', domain);
    await known(({ powerState }) => powerState === 'Paused');
    await site.virsh('resume', domain);
    await known(({ powerState }) => powerState === 'Running');
    await site.virsh('shutdown', domain);
    await known(({ powerState, lastExit }) => powerState === 'Halted' && lastExit === 'shutdown');
  });

  it('was killed: it is off, and has crashed', async () => {
    const pid = Number(readFileSync(`/run/libvirt/qemu/${domain}.pid`, 'utf8'));
    process.kill(pid, 'SIGKILL');
    expect(await known(({ powerState }) => powerState === 'Halted')).toMatchObject({ lastExit: 'crashed' });
  });

  it('is suspended with memory that gets damaged: it stays suspended until it is let go', async () => {
    await act('suspend');
    const save = `/var/lib/libvirt/qemu/save/${domain}.save`;
    truncateSync(save, Math.floor(statSync(save).size / 2));
    expect(await act('resume')).toMatchObject({ state: 'failed', error: { code: 'VM_RESUME_FAILED' } });
    expect(await known(() => true)).toMatchObject({ powerState: 'Suspended', fault: 'resume failed' });
    expect(await act('hard_shutdown')).toMatchObject({ state: 'done' });
    expect(await act('start')).toMatchObject({ state: 'done' });
  });
});

describe('what is known of a real guest', () => {
  beforeEach(() => begin('obedient'));

  it('is true within 5 s of what happens to it, with its history, also after the events were cut off', async () => {
    const changes = async () => [
      await delayOf('suspend', ({ powerState }) => powerState === 'Paused'),
      await delayOf('resume', ({ powerState }) => powerState === 'Running'),
    ];
    const delays = await changes();
    const before = listeners();
    expect(before).toHaveLength(1);
    process.kill(before[0]!, 'SIGKILL');
    delays.push(...(await changes())); // nobody may be listening yet
    await eventually(async () => listeners().length === 1 && listeners()[0] !== before[0], 20);
    delays.push(...(await changes()));
    delays.push(
      await delayOf('destroy', ({ powerState, lastExit }) => powerState === 'Halted' && lastExit === 'destroyed'),
    );
    expect(Math.max(...delays)).toBeLessThan(SOON);
    const { history } = await site.frontEnd.showVm('vm1');
    const told = history.filter(({ kind }) => kind === 'state').map(({ text }) => text.split(':')[0]);
    const [there, back] = ['Running → Paused', 'Paused → Running'];
    expect(told.slice(-7)).toEqual([there, back, there, back, there, back, 'Running → Halted']);
  });

  it('outlives its daemon and libvirtd: that it is suspended, and that it crashed', async () => {
    expect(await act('suspend')).toMatchObject({ state: 'done' });
    await site.stopDaemon();
    await restartLibvirtd();
    await site.startDaemon();
    expect(await act('start')).toMatchObject({ error: { code: 'VM_BAD_POWER_STATE' } });
    expect(await known(({ powerState }) => powerState === 'Suspended')).toMatchObject({ lastExit: 'saved' });
    expect(await act('resume')).toMatchObject({ state: 'done', result: { powerState: 'Running' } });
    process.kill(Number(readFileSync(`/run/libvirt/qemu/${domain}.pid`, 'utf8')), 'SIGKILL');
    await known(({ powerState, lastExit }) => powerState === 'Halted' && lastExit === 'crashed');
    await restartLibvirtd();
    // libvirt itself has forgotten why.
    expect(await site.virsh('domstate', domain, '--reason')).toContain('unknown');
    await known(({ reason }) => reason.includes('unknown'));
    expect(await site.frontEnd.showVm('vm1')).toMatchObject({ powerState: 'Halted', lastExit: 'crashed' });
  });
});

describe('a guest with other manners', () => {
  it('ignores its button: it still runs, until its plug is pulled', async () => {
    await begin('deaf');
    expect(await act('clean_shutdown', { timeoutSeconds: 3 })).toMatchObject({
      error: { code: 'VM_SHUTDOWN_TIMEOUT' },
    });
    expect(await state()).toBe('running');
    expect(await act('shutdown', { timeoutSeconds: 2 })).toMatchObject({ state: 'done' });
    expect(await state()).toBe('shut off');
  });

  it('panics: nothing but a hard hand moves it; and it is not started again and again', async () => {
    await begin('panicking');
    await site.frontEnd.setAfterCrash('vm1', 'preserve');
    await site.virsh('shutdown', domain);
    const vm = await known(({ powerState }) => powerState === 'Crashed');
    expect(vm.allowed).toEqual([
      'hard_shutdown',
      'shutdown',
      'hard_reboot',
      'power_state_reset',
      'revert',
      'delete_snapshot',
    ]);
    expect(await act('unpause')).toMatchObject({ error: { code: 'VM_BAD_POWER_STATE' } });
    expect(await act('hard_reboot')).toMatchObject({ state: 'done' });
    await site.frontEnd.setAfterCrash('vm1', 'restart');
    await new Promise((resolve) => setTimeout(resolve, BOOT_MS));
    await site.virsh('shutdown', domain);
    // Within 120 s of its start: off, instead of on and on.
    await known(({ powerState, operations }) => powerState === 'Halted' && operations[0]?.kind === 'hard_shutdown');
    await site.frontEnd.setAfterCrash('vm1', 'preserve');
  });

  it('panics where a core dump is wanted: its memory is kept, for its admin alone, before its plug is pulled', async () => {
    await begin('panicking');
    await site.frontEnd.setAfterCrash('vm1', 'coredump-destroy');
    await site.virsh('shutdown', domain);
    const { operations } = await known(
      ({ powerState, operations: [last] }) => powerState === 'Halted' && last?.state === 'done',
    );
    const file = path.join(site.vms, 'vm1.core');
    expect(operations[0]).toMatchObject({ kind: 'hard_shutdown', result: { coreDump: file } });
    const { size, mode } = statSync(file);
    expect(size).toBeGreaterThan(16 << 20);
    expect(mode & 0o777).toBe(0o600);
    expect(readFileSync(file).subarray(0, 4).toString('latin1')).toBe('\u007fELF');
    await site.frontEnd.setAfterCrash('vm1', 'preserve');
  });

  it('goes to sleep: it can be woken', async () => {
    await begin('sleeping');
    await site.virsh('shutdown', domain);
    expect((await known(({ guestSleeping }) => guestSleeping)).powerState).toBe('Running');
    expect(await act('clean_shutdown')).toMatchObject({ error: { code: 'VM_BAD_POWER_STATE' } });
    expect(await act('wake')).toMatchObject({ state: 'done' });
    await known(({ guestSleeping }) => !guestSleeping);
  });
});

describe('a libvirtd that is killed', () => {
  it('takes nothing from what is known, and is listened to again when it is back', async () => {
    await begin('obedient');
    process.kill(libvirtd(), 'SIGKILL');
    expect(await known(({ powerState }) => powerState === 'Unknown')).toMatchObject({ lastPowerState: 'Running' });
    spawn('libvirtd', ['-d'], { stdio: 'ignore', detached: true }).unref();
    await known(({ powerState }) => powerState === 'Running');
    await site.virsh('destroy', domain);
    expect(await known(({ powerState }) => powerState === 'Halted')).toMatchObject({ lastExit: 'destroyed' });
  });
});

function libvirtd(): number {
  return Number(readFileSync('/run/libvirtd.pid', 'utf8'));
}
