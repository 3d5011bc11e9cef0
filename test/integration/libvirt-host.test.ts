import { describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import kvm from '../../drivers/kvm';
import { LocalHost } from '../../lib/host/local-host';
import { hostFacts } from '../../lib/libvirt/host-facts';
import { bootsGuest } from '../../lib/libvirt/kvm-probe';
import { PATIENCE } from '../support/patience';

const QEMU = '/usr/bin/qemu-system-x86_64';
const host = new LocalHost({ name: 'host1' });

describe('the probe of KVM', () => {
  it('boots its guest: what it says of KVM it would say of a KVM that works', async () => {
    expect(await bootsGuest(host, QEMU, 'tcg')).toBe(true);
  });

  it('says within seconds that KVM is absent or hangs', async () => {
    const startedAt = Date.now();
    const works = await bootsGuest(host, QEMU);
    expect(Date.now() - startedAt).toBeLessThan(3_500 * PATIENCE);
    if (!existsSync('/dev/kvm')) expect(works).toBe(false);
  });

  it('does not take a QEMU that is not there for a KVM that works', async () => {
    expect(await bootsGuest(host, '/usr/bin/qemu-system-none', 'tcg')).toBe(false);
    expect(await bootsGuest(host, null, 'tcg')).toBe(false);
  });
});

describe('a host with QEMU', () => {
  it('is driven by the KVM driver, emulated where KVM does not work', async () => {
    const facts = await hostFacts(host);
    expect(facts.domainTypes).toContain('qemu');
    expect(await kvm.probe(facts)).toMatchObject({ usable: true });
    const domainType = typeof kvm.domainType === 'string' ? kvm.domainType : await kvm.domainType(facts);
    expect(domainType).toBe((await facts.kvmWorks()) ? 'kvm' : 'qemu');
  });
});
