import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  capturedImageName,
  domainName,
  domainUuid,
  fileBaseName,
  generatedMac,
  overlayPath,
  shortName,
} from '../../../lib/model/names';

const image = { id: 12, revision: 3, prettyName: 'Debian 12 (lab)' };
const computer = (name: string) => ({ id: 5, shortName: name });

describe('the name of a domain', () => {
  it('is computer, pretty name without anything but letters and digits, image and revision', () => {
    expect(domainName(computer('vm1'), image)).toBe('vm1_Debian12lab_12-v3');
  });

  it('cuts the pretty name to 48 characters in all', () => {
    const name = domainName(computer('vm1'), { ...image, prettyName: 'x'.repeat(80) });
    expect(name).toBe(`vm1_${'x'.repeat(38)}_12-v3`);
    expect(name).toHaveLength(48);
  });

  it('leaves the pretty name out where fewer than five characters of it would fit', () => {
    expect(domainName(computer('c'.repeat(38)), image)).toBe(`${'c'.repeat(38)}_12-v3`);
  });

  it('is the computer alone where nothing else fits, and its id where even that does not', () => {
    expect(domainName(computer('c'.repeat(45)), image)).toBe('c'.repeat(45));
    expect(domainName(computer('c'.repeat(49)), image)).toBe('5_Debian12lab_12-v3');
  });

  it('never has more than 48 characters', () => {
    fc.assert(
      fc.property(fc.string(), fc.stringMatching(/^[a-z][a-z0-9-]{0,60}$/), fc.nat(), (prettyName, name, id) => {
        expect(domainName({ id: 5, shortName: name }, { id, revision: 0, prettyName }).length).toBeLessThanOrEqual(48);
      }),
    );
  });
});

it('files of a load are named after computer, image and revision', () => {
  expect(fileBaseName(computer('vm1'), image)).toBe('vm1_12-v3');
  expect(overlayPath({ vmPath: '/vms' }, computer('vm1'), image, 'qcow2')).toBe('/vms/vm1_12-v3.qcow2');
});

it('a host name is cut at its first dot, an address is not', () => {
  expect(shortName('vm1.lab.example')).toBe('vm1');
  expect(shortName('10.0.0.1')).toBe('10.0.0.1');
});

it('MACs are the same each time, of QEMU’s prefix, and differ by node, computer and interface', () => {
  const macs = [generatedMac(1, 2, 0), generatedMac(1, 2, 1), generatedMac(1, 3, 0), generatedMac(2, 2, 0)];
  expect(new Set(macs).size).toBe(4);
  for (const mac of macs) expect(mac).toMatch(/^52:54:00(:[0-9a-f]{2}){3}$/);
  expect(generatedMac(1, 2, 0)).toBe(macs[0]);
});

it('the UUID of a load is the same when it is resumed, and another for the next load', () => {
  expect(domainUuid(1, 2, 'a')).toBe(domainUuid(1, 2, 'a'));
  expect(domainUuid(1, 2, 'a')).not.toBe(domainUuid(1, 2, 'b'));
  expect(domainUuid(1, 2, 'a')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

describe('the name of a captured image', () => {
  const captured = (os: string, prettyName: string) => capturedImageName({ ...image, prettyName, os: { name: os } });

  it('is OS, pretty name, image and revision, without the words vmware and image', () => {
    expect(captured('vmwarelinux', 'Debian 12_(lab)')).toBe('linux-Debian12lab-12-v3');
    expect(captured('win7image', 'Büro')).toBe('win7-Bro-12-v3');
    expect(captured('image', 'x')).toBe('image-x-12-v3');
  });

  it('fits image.name, and keeps what tells images apart', () => {
    const name = captured('vmwareubuntu', 'x'.repeat(100));
    expect(name).toHaveLength(70);
    expect(name).toMatch(/^ubuntu-x+-12-v3$/);
  });
});
