/** What a domain's state is, by libvirt's words. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { DOMAIN_STATE, readState } from '../../../lib/libvirt/domain-state';
import { FakeHost } from '../../support/fake-host';

const said = (state: string, id: string) =>
  readState(
    new Map([
      ['state a', [state, '']],
      ['id a', [id, '']],
    ]),
    'a',
  );

describe('the state of a domain', () => {
  it('is told with its reason, and with an id while it is active', () => {
    expect(said('paused (I/O error)', '7')).toEqual({ state: 'paused', reason: 'I/O error', domainId: '7' });
    expect(said('shut off (shutdown)', '-')).toEqual({ state: 'shut off', reason: 'shutdown', domainId: null });
    expect(said('no state', '3')).toEqual({ state: 'no state', reason: '', domainId: '3' });
  });

  it('is not known of one that went before it was asked', () => {
    expect(readState(new Map([['state a', ['']]]), 'a')).toBeNull();
    expect(readState(new Map(), 'a')).toBeNull();
  });
});

describe('a domain that libvirt calls shut off (crashed)', () => {
  it('has crashed and is kept where it has an id still, as Xen’s driver tells it', () => {
    expect(said('shut off (crashed)', '2')).toEqual({ state: 'crashed', reason: 'panicked', domainId: '2' });
  });

  it('is off where it has none', () => {
    expect(said('shut off (crashed)', '-')).toMatchObject({ state: 'shut off', reason: 'crashed' });
    expect(said('shut off (shutdown)', '2')).toMatchObject({ state: 'shut off' });
  });
});

describe('a script that asks for the state of a domain', () => {
  let host: FakeHost;
  beforeAll(async () => {
    host = new FakeHost();
    writeFileSync(host.path('vm1.xml'), '<domain type="xen"><name>vm1</name><memory>1</memory></domain>');
    await host.run(['virsh', 'define', host.path('vm1.xml')]);
  });
  afterAll(() => host.close());

  const state = (domain = 'vm1') =>
    host.run(['sh', '-c', `set -u; ${DOMAIN_STATE}\ndomain_state "$1"`, 'sh', domain], { expect: 'any' });

  it('hears the same', async () => {
    expect((await state()).stdout).toBe('shut off\n');
    await host.run(['virsh', 'start', 'vm1']);
    expect((await state()).stdout).toBe('running\n');
    host.happen('vm1', 'I/O error');
    expect((await state()).stdout).toBe('paused\n');
    host.happen('vm1', 'panic on Xen');
    expect((await state()).stdout).toBe('crashed\n');
    host.happen('vm1', 'killed');
    expect((await state()).stdout).toBe('shut off\n');
  });

  it('fails with libvirt’s words where there is none', async () => {
    const { exitCode, stderr } = await state('vm2');
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: expect.stringContaining("failed to get domain 'vm2'"),
    });
  });
});
