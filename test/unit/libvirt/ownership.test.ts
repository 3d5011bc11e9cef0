import { describe, expect, it } from '@jest/globals';
import { isDiskOf, isXmlFileOf, ownsDomain } from '../../../lib/libvirt/ownership';
import type { DomainIdentity } from '../../../lib/model/identity';

const vm1 = { managementNodeId: 1, computerId: 8, shortName: 'vm1' };
const identity = (more: Partial<DomainIdentity>): DomainIdentity => ({
  managementNodeId: 1,
  computerId: 8,
  computerName: 'vm1',
  requestId: 1,
  reservationId: 1,
  imageId: 12,
  imageRevisionId: 17,
  imageName: 'linux-12-v0',
  loadId: 'load-1',
  ...more,
});

describe('a domain with our metadata', () => {
  it('belongs to the computer that they name, whatever its own name is', () => {
    expect(ownsDomain(vm1, { name: 'renamed by an admin', identity: identity({}), disks: [] })).toBe(true);
  });

  it('belongs to no other computer and to no other management node', () => {
    const named = { name: 'vm1_TinyLinux_12-v0', disks: ['/srv/vms/vm1_12-v0.qcow2'] };
    expect(ownsDomain(vm1, { ...named, identity: identity({ computerId: 9 }) })).toBe(false);
    expect(ownsDomain(vm1, { ...named, identity: identity({ managementNodeId: 2 }) })).toBe(false);
  });
});

describe('a domain that vcld left', () => {
  const owned = (name: string, ...disks: string[]) => ownsDomain(vm1, { name, identity: null, disks });

  it.each([
    ['vm1_TinyLinux_12-v0', '/srv/vms/vm1_12-v0.qcow2'],
    ['vm1_12-v0', '/srv/vms/vm1_12-v0.qcow2'],
    ['vm1:vmwarelinux-RHEL2251-v1', '/srv/vms/vm1_2251-v1.qcow2'],
    ['vm1', '/srv/vms/vm1_12-v0.qcow2'],
    ['8', '/srv/vms/vm1_12-v0.qcow2'],
    ['8_TinyLinux_12-v0', '/srv/vms/vm1_12-v0.qcow2'],
  ])('belongs to the computer by its name %s and its disk %s', (name, disk) => {
    expect(owned(name, disk)).toBe(true);
  });

  it.each([
    ['vm1_x_12-v0', '/srv/vms/vm1_x_12-v0.qcow2', 'vm1_x has no pretty name'],
    ['vm1_x_TinyLinux_12-v0', '/srv/vms/vm1_x_12-v0.qcow2', 'vm1_x'],
    ['vm10_TinyLinux_12-v0', '/srv/vms/vm10_12-v0.qcow2', 'vm10'],
    ['vm1', '/srv/database.qcow2', 'an admin'],
    ['vm1_backup', '/srv/vms/vm1_12-v0.qcow2', 'an admin'],
    ['VM1_TinyLinux_12-v0', '/srv/vms/VM1_12-v0.qcow2', 'another case'],
    ['vm1_TinyLinux_12-v0-clone', '/srv/vms/vm1_12-v0.qcow2', 'virt-clone'],
  ])('with the name %s and the disk %s does not belong to vm1 but to %s', (name, disk) => {
    expect(owned(name, disk)).toBe(false);
  });

  it('without any disk belongs to the computer only by a name that nobody but VCL gives', () => {
    expect(owned('vm1_TinyLinux_12-v0')).toBe(true);
    expect(owned('vm1')).toBe(false);
  });
});

describe('a file', () => {
  it('belongs to the computer by the exact name of a load', () => {
    expect(isDiskOf('vm1', '/srv/vms/vm1_12-v0.qcow2')).toBe(true);
    expect(isDiskOf('vm1', '/srv/vms/vm1_x_12-v0.qcow2')).toBe(false);
    expect(isDiskOf('vm1', '/srv/images/vmwarelinux-Tiny12-v0.qcow2')).toBe(false);
    expect(isDiskOf('vm1', '/srv/vms/vm1_data.qcow2')).toBe(false);
    expect(isXmlFileOf('vm1', '/tmp/vcl/vm1_12-v0.xml')).toBe(true);
    expect(isXmlFileOf('vm1', '/tmp/vcl/vm1_x_12-v0.xml')).toBe(false);
    expect(isXmlFileOf('v.1', '/tmp/vcl/vm1_12-v0.xml')).toBe(false);
  });
});
