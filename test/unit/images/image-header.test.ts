import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { ProvisiondError } from '../../../lib/errors';
import { VMDK_HEADER_BYTES, checkImageHeader } from '../../../lib/images/image-header';
import { HOSTILE_IMAGES, flipBit, makeSound } from '../../support/hostile-images';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'header-'));
  writeFileSync(path.join(folder, 'secret'), 'root:x:'.repeat(10_000));
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const newFile = (extension: string) => path.join(folder, `image-${files++}.${extension}`);
const check = (file: string) => {
  const bytes = readFileSync(file);
  return checkImageHeader(file, bytes.subarray(0, VMDK_HEADER_BYTES), bytes.length);
};
const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof ProvisiondError && error.code === 'IMAGE_UNTRUSTED') return error.message;
    throw error;
  }
  return 'accepted';
};

describe('the header of a base image', () => {
  it.each([
    ['qcow2', 'version 3', []],
    ['qcow2', 'version 2', ['-o', 'compat=0.10']],
    ['qcow2', 'zstd compression', ['-c', '-o', 'compression_type=zstd']],
    ['qcow2', 'extended L2', ['-o', 'extended_l2=on,cluster_size=128k']],
    ['qcow2', 'small clusters', ['-o', 'cluster_size=512']],
    ['vmdk', 'monolithicSparse', []],
    ['vmdk', 'streamOptimized', ['-o', 'subformat=streamOptimized']],
    ['vdi', 'dynamic', []],
    ['vdi', 'static', ['-o', 'static=on']],
    ['raw', 'plain bytes', []],
  ])('is accepted as qemu-img makes it: %s, %s', (format, _what, options) => {
    const file = newFile(format);
    makeSound(file, format, options);
    expect(check(file)).toEqual({ format, virtualSizeBytes: 2 ** 20 });
  });

  it('of a large sparse disk is accepted', () => {
    const file = newFile('qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '2T']);
    expect(check(file)).toEqual({ format: 'qcow2', virtualSizeBytes: 2 ** 41 });
  });

  it.each(HOSTILE_IMAGES.map((image) => [image.extension, image.what, image] as const))(
    'is refused: %s %s',
    (extension, _what, image) => {
      const file = newFile(extension);
      image.make(file, path.join(folder, 'secret'));
      expect(refusal(() => check(file))).toMatch(image.says);
    },
  );

  it('is refused when its name says a format that nobody reads', () => {
    expect(refusal(() => checkImageHeader('/x/a.iso', Buffer.alloc(512), 512))).toMatch(/format iso are not read/);
    expect(refusal(() => checkImageHeader('/x/a.qcow2', Buffer.alloc(512), 512))).toMatch(/says qcow2.*say raw/);
  });

  it('is accepted or refused, whatever its bytes are', () => {
    const heads = [
      '514649fb00000003',
      '514649fb00000002',
      '4b444d5601000000',
      '',
      '00'.repeat(64) + '7f10dabe01000100',
    ];
    const extension = fc.constantFrom('qcow2', 'vmdk', 'vdi', 'raw');
    fc.assert(
      fc.property(
        extension,
        fc.constantFrom(...heads),
        fc.uint8Array({ maxLength: 700 }),
        fc.nat(),
        (name, head, bytes, size) => {
          const header = Buffer.concat([Buffer.from(head, 'hex'), bytes]);
          expect(refusal(() => checkImageHeader(`/x/a.${name}`, header, size))).toMatch(/accepted|is not used as base/);
        },
      ),
    );
  });
});

describe('an image with a flipped bit', () => {
  const TIME_LIMIT_MS = 10_000;

  it.each(['qcow2', 'vmdk', 'vdi'])(
    'of format %s is refused, or read to its end without reading anything else',
    (format) => {
      const sound = newFile(format);
      makeSound(sound, format);
      const metadataBits = Math.min(statSync(sound).size, 4096) * 8;
      const bit = fc.oneof(fc.nat(metadataBits - 1), fc.nat(statSync(sound).size * 8 - 1));
      fc.assert(
        fc.property(bit, (flipped) => {
          const damaged = flipBit(sound, flipped);
          if (refusal(() => check(damaged)) !== 'accepted') return;
          const { virtualSizeBytes } = check(damaged);
          const argv = ['info', '--output=json', '-f', format, damaged];
          const { status, signal, stdout } = spawnSync('qemu-img', argv, { timeout: TIME_LIMIT_MS, encoding: 'utf8' });
          expect(signal).toBeNull();
          if (status !== 0) return;
          const said = JSON.parse(stdout) as Record<string, unknown>;
          expect(said).not.toHaveProperty('backing-filename');
          expect(said['virtual-size']).toBe(virtualSizeBytes);
        }),
        { numRuns: 25 },
      );
    },
  );
});
