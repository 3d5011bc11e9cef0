import { describe, expect, it } from '@jest/globals';
import {
  complaints,
  parseDomainNames,
  parseDomainTable,
  parseLease,
  parseSnapshots,
  virshError,
} from '../../../lib/libvirt/virsh';

describe('what virsh prints', () => {
  it('names domains with blanks and quotes in their names', () => {
    const lines = ['', '78bffbfe-53a2-4f8c-a6df-7b6d7f83b1ec my old "vm"', 'no uuid at all'];
    expect(parseDomainNames(lines)).toEqual(new Map([['my old "vm"', '78bffbfe-53a2-4f8c-a6df-7b6d7f83b1ec']]));
  });

  it('tells domains with id and state, whatever their names are', () => {
    const text = ' 3   vm1              running\n -   my old   vm 2   shut off\n -   running  x      crashed\n\n';
    expect(parseDomainTable(text)).toEqual(
      new Map([
        ['vm1', { id: 3, state: 'running' }],
        ['my old   vm 2', { state: 'shut off' }],
        ['running  x', { state: 'crashed' }],
      ]),
    );
  });

  it('tells snapshots whose names hold blanks', () => {
    const text =
      ' VCL snapshot   2011-12-07 16:05:50 -0500   shutoff\n s2             2026-01-01 00:00:00 +0000   running\n';
    expect(parseSnapshots(text)).toEqual([
      { name: 'VCL snapshot', createdAt: '2011-12-07 16:05:50 -0500', state: 'shutoff' },
      { name: 's2', createdAt: '2026-01-01 00:00:00 +0000', state: 'running' },
    ]);
  });

  it('tells a lease, and that there is none', () => {
    const row = ' 2026-11-21 14:00:00   52:54:00:0a:00:01   ipv4       192.168.121.11/24   vm1        -\n';
    expect(parseLease(row)).toBe('192.168.121.11');
    expect(parseLease('\n')).toBeNull();
  });

  it('complains in lines of which the first says what it did and the last why not', () => {
    const stderr = "error: Failed to start domain 'vm1'\nerror: Cannot allocate memory\n\n";
    expect(complaints(stderr)).toEqual(["Failed to start domain 'vm1'", 'Cannot allocate memory']);
    const error = virshError('DOMAIN_START_FAILED', 'starting domain vm1 on host1', { exitCode: 1, stderr });
    expect(error.message).toBe("starting domain vm1 on host1: Failed to start domain 'vm1': Cannot allocate memory");
  });

  it.each([
    [
      "error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/var/run/libvirt/libvirt-sock': Connection refused\n",
    ],
    ['error: Failed to define domain from /tmp/x.xml\nerror: Cannot recv data: Connection reset by peer\n'],
    [
      'error: Disconnected from qemu:///system due to end of file\nerror: End of file while reading data: Input/output error\n',
    ],
  ])('does not take a libvirt that is away for one that refuses: %j', (stderr) => {
    const error = virshError('DOMAIN_REJECTED', 'defining domain vm1 on host1', { exitCode: 1, stderr });
    expect(error).toMatchObject({ code: 'LIBVIRT_FAILED', retryable: true });
    const refused = { exitCode: 1, stderr: 'error: unsupported configuration: no such bus\n' };
    expect(virshError('DOMAIN_REJECTED', 'defining domain vm1 on host1', refused).code).toBe('DOMAIN_REJECTED');
  });
});
