import { describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { ProvisiondError } from '../../../lib/errors';
import { HEADER_BYTES, checkImageHeader } from '../../../lib/images/qcow2-header';

function makeImage(name: string, ...options: string[]): Buffer {
  const folder = mkdtempSync(path.join(tmpdir(), 'header-'));
  const file = path.join(folder, name);
  writeFileSync(path.join(folder, 'base.raw'), Buffer.alloc(65536));
  execFileSync('qemu-img', ['create', '-q', ...options, file, '1M'], { cwd: folder });
  const header = readFileSync(file).subarray(0, HEADER_BYTES);
  rmSync(folder, { recursive: true });
  return header;
}

const refusal = (file: string, header: Buffer): string => {
  try {
    checkImageHeader(file, header);
  } catch (error) {
    if (error instanceof ProvisiondError && error.code === 'IMAGE_UNTRUSTED') return error.message;
    throw error;
  }
  return 'accepted';
};

describe('the header of a base image', () => {
  it.each([
    ['version 3', ['-f', 'qcow2']],
    ['version 2', ['-f', 'qcow2', '-o', 'compat=0.10']],
    ['zstd compression', ['-f', 'qcow2', '-o', 'compression_type=zstd']],
    ['extended L2', ['-f', 'qcow2', '-o', 'extended_l2=on,cluster_size=128k']],
  ])('is accepted as qemu-img makes it: %s', (_what, options) => {
    expect(checkImageHeader('/x/a.qcow2', makeImage('a.qcow2', ...options))).toEqual({
      format: 'qcow2',
      virtualSizeBytes: 2 ** 20,
    });
  });

  it('of a raw file tells nothing', () => {
    expect(checkImageHeader('/x/a.raw', makeImage('a.raw', '-f', 'raw'))).toEqual({
      format: 'raw',
      virtualSizeBytes: null,
    });
    expect(checkImageHeader('/x/a.img', Buffer.alloc(0))).toEqual({ format: 'raw', virtualSizeBytes: null });
  });

  it('is refused with a backing file', () => {
    const header = makeImage('a.qcow2', '-f', 'qcow2', '-b', 'base.raw', '-F', 'raw');
    expect(refusal('/x/a.qcow2', header)).toMatch(/backing file/);
  });

  it('is refused with an external data file', () => {
    expect(refusal('/x/a.qcow2', makeImage('a.qcow2', '-f', 'qcow2', '-o', 'data_file=d.raw'))).toMatch(/data file/);
  });

  it('is refused when it is encrypted', () => {
    const options = ['--object', 'secret,id=s,data=x', '-f', 'qcow2', '-o', 'encrypt.format=luks,encrypt.key-secret=s'];
    expect(refusal('/x/a.qcow2', makeImage('a.qcow2', ...options))).toMatch(/encrypted/);
  });

  it('is refused when its name says another format: a guest can write any header into a raw disk', () => {
    const header = makeImage('a.qcow2', '-f', 'qcow2');
    expect(refusal('/x/a.raw', header)).toMatch(/its name says raw, its first bytes say qcow2/);
    expect(refusal('/x/a.qcow2', Buffer.alloc(512))).toMatch(/its name says qcow2, its first bytes say raw/);
    expect(refusal('/x/a.vmdk', Buffer.from('# Disk DescriptorFile\nRW 1 FLAT "/etc/passwd" 0'))).toMatch(/descriptor/);
  });

  it('is refused when it claims an absurd size', () => {
    const header = Buffer.from(makeImage('a.qcow2', '-f', 'qcow2'));
    header.writeBigUInt64BE(2n ** 60n, 24);
    expect(refusal('/x/a.qcow2', header)).toMatch(/size/);
  });

  it('is accepted or refused, whatever its bytes are', () => {
    const magic = Buffer.from('514649fb', 'hex');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: HEADER_BYTES }), (bytes) => {
        expect(refusal('/x/a.qcow2', Buffer.concat([magic, bytes]))).toMatch(/accepted|is not used as base/);
      }),
    );
  });
});
