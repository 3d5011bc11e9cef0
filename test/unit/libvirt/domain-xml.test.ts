import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FROM_DISK } from '../../../lib/model/boot';
import { type DomainXmlInput, generateDefaultDomainXml } from '../../../lib/libvirt/domain-xml';
import { buildXml } from '../../../lib/xml';

/**
 * A case is a file: the input as JSON (what it leaves out is the example's), a line of hyphens, the XML expected.
 * PROVISIOND_WRITE_GOLDEN=1 writes the XML of all cases anew, to be read before it is committed.
 */
const GOLDEN = path.join(__dirname, '../../golden/domain-xml');
const SEPARATOR = '----------\n';

const EXAMPLE: DomainXmlInput = {
  domainType: 'kvm',
  name: 'vm1_TinyLinux_12-v2',
  uuid: '3c3a2c58-0000-8000-8000-0123456789ab',
  identity: {
    managementNodeId: 1,
    computerId: 5,
    computerName: 'vm1',
    requestId: 7,
    reservationId: 7,
    imageId: 12,
    imageRevisionId: 34,
    imageName: 'vmwarelinux-Tiny12-v2',
    loadId: 'load-1',
  },
  description: { imagePrettyName: 'Tiny Linux', loadTime: '2026-01-05T10:00:00.000Z', managementNode: 'node' },
  memoryMiB: 512,
  vcpus: 1,
  clockOffset: 'utc',
  boot: FROM_DISK,
  disk: { path: '/srv/vms/vm1_12-v2.qcow2', format: 'qcow2', driverName: 'qemu', bus: 'virtio', cache: undefined },
  interfaces: [
    { type: 'network', source: 'private', mac: '02:00:00:00:00:01', model: 'virtio' },
    { type: 'network', source: 'public', mac: '02:00:00:00:00:02', model: 'virtio' },
  ],
  consoleLog: '/srv/vms/vm1_12-v2.console.log',
};

function readCase(name: string) {
  const file = path.join(GOLDEN, name);
  const [input = '', expected = ''] = readFileSync(file, 'utf8').split(SEPARATOR);
  const changes = JSON.parse(input) as Partial<DomainXmlInput>;
  const xml = buildXml(generateDefaultDomainXml({ ...EXAMPLE, ...changes }));
  if (process.env.PROVISIOND_WRITE_GOLDEN) writeFileSync(file, `${input}${SEPARATOR}${xml}`);
  return { xml, expected: process.env.PROVISIOND_WRITE_GOLDEN ? xml : expected };
}

const cases = readdirSync(GOLDEN).map((name) => [name.replace(/\.case$/, '').replace(/-/g, ' '), name] as const);

describe('the default domain XML', () => {
  it.each(cases)('of %s is as written down', (_title, name) => {
    const { xml, expected } = readCase(name);
    expect(xml).toBe(expected);
  });

  it.each(cases)('of %s is valid by the schema of libvirt', (_title, name) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'golden-'));
    const file = path.join(folder, 'domain.xml');
    writeFileSync(file, readCase(name).xml);
    const { status, stderr } = spawnSync('virt-xml-validate', [file, 'domain'], { encoding: 'utf8' });
    rmSync(folder, { recursive: true });
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining('validates') });
  });

  it('never names a backing store: it would win over the header of the disk', () => {
    for (const [, name] of cases) expect(readCase(name).xml).not.toContain('backingStore');
  });
});
