import { describe, expect, it } from '@jest/globals';
import { applianceOf, instanceName, instanceNames } from '../../../lib/model/instance';
import { instanceUuid } from '../../../lib/model/names';

const UUID = instanceUuid(7, 'a domain');

describe('the name of an instance', () => {
  it('is that of its original and a UUID', () => {
    expect(instanceName('vmwarelinux-Debian12-v0', UUID, 70)).toBe(`vmwarelinux-Debian12-v0-${UUID}`);
  });

  it('is cut before the UUID, in whole characters, to what a file system takes: 255 bytes (85)', () => {
    const cut = instanceName('x'.repeat(250), UUID, 255);
    expect(Buffer.byteLength(cut)).toBe(255);
    expect(cut.endsWith(`x-${UUID}`)).toBe(true);
    const wide = instanceName('ü'.repeat(250), UUID, 255);
    expect(Buffer.byteLength(wide)).toBeLessThanOrEqual(255);
    expect(wide).toMatch(/^ü+-/);
  });

  it('fits into the columns of VCL', () => {
    const { imageName, prettyName } = instanceNames({ imageName: 'i'.repeat(75), prettyName: 'p'.repeat(80) }, UUID);
    expect([imageName.length, prettyName.length]).toEqual([70, 80]);
  });

  it('of an instance of an instance is that of the master', () => {
    const first = instanceName('master', UUID, 70);
    const other = instanceUuid(8, 'a domain');
    expect(instanceName(first, other, 70)).toBe(`master-${other}`);
  });

  it('is the same again for the same operation and domain, and another one for any other: two in one second differ (85)', () => {
    expect(instanceUuid(7, 'a domain')).toBe(UUID);
    expect(new Set([UUID, instanceUuid(8, 'a domain'), instanceUuid(7, 'another')]).size).toBe(3);
    expect(UUID).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe('the appliance that arguments name', () => {
  it.each([
    ['{"appliance":"shop"}', 'shop'],
    ['{"appliance":7}', null],
    ['{oops', null],
    ['null', null],
    [null, null],
  ])('%j: %j', (json, name) => {
    expect(applianceOf(json)).toBe(name);
  });
});
