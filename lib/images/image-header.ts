/**
 * What a disk image says of itself in its first bytes, read by ourselves BEFORE qemu-img is let at the file: a header
 * that names a backing file, a data file or an extent makes qemu-img read whatever file it names.
 */
import { ProvisiondError } from '../errors';
import { HeaderRefusal } from './header-refusal';
import { readQcow2Header } from './qcow2-header';
import { readVdiHeader } from './vdi-header';
import { readVmdkHeader } from './vmdk-header';

/** How many bytes of a file {@link checkImageHeader} needs; of a vmdk as many as {@link VMDK_HEADER_BYTES}. */
export const HEADER_BYTES = 512;
/** QEMU looks for a parent in the 20 sectors after the first. */
export const VMDK_HEADER_BYTES = 21 * 512;
/** A file of 1 MiB may claim 60 TiB; nothing that a site really runs is larger than this. */
const MAX_VIRTUAL_SIZE_BYTES = 8 * 2 ** 40;

/** VCL names formats by their file extension. */
const FORMATS_BY_EXTENSION: Readonly<Record<string, string>> = { img: 'raw', raw: 'raw', dd: 'raw' };

/** First bytes that mean a format to QEMU, VirtualBox or VMware: no raw disk may begin with them. */
const SIGNATURES: readonly (readonly [format: string, offset: number, bytes: string])[] = [
  ['qcow2', 0, 'QFI\u00fb'],
  ['vmdk', 0, 'KDMV'],
  ['vdi', 64, '\u007f\u0010\u00da\u00be'],
  ['vmdk of ESX', 0, 'COWD'],
  ['vmdk descriptor', 0, '# Disk DescriptorFile'],
  ['qed', 0, 'QED\0'],
  ['vhdx', 0, 'vhdxfile'],
  ['vpc', 0, 'conectix'],
  ['luks', 0, 'LUKS\u00ba\u00be'],
  ['parallels', 0, 'WithoutFreeSpace'],
  ['parallels', 0, 'WithouFreSpacExt'],
  ['bochs', 0, 'Bochs Virtual HD Image'],
  ['cloop', 0, '#!/bin/sh\n#V2.0 Format'],
];

/** Flat parts of a vmdk are plain bytes; only their descriptor, which nobody reads, makes a vmdk of them. */
const FLAT_PART = /-(?:f\d+|flat)\.vmdk$/i;

/** The format that a file's name claims. */
export function claimedFormat(file: string): string {
  if (FLAT_PART.test(file)) return 'raw';
  const extension = file.slice(file.lastIndexOf('.') + 1).toLowerCase();
  return FORMATS_BY_EXTENSION[extension] ?? extension;
}

export interface ImageHeader {
  readonly format: 'qcow2' | 'vmdk' | 'vdi' | 'raw';
  readonly virtualSizeBytes: number;
}

/** @returns the virtual size @throws HeaderRefusal when the file must not be used */
type HeaderReader = (header: Buffer, sizeBytes: number) => bigint;

const READERS: Readonly<Record<ImageHeader['format'], HeaderReader>> = {
  qcow2: readQcow2Header,
  vmdk: readVmdkHeader,
  vdi: readVdiHeader,
  raw: (_header, sizeBytes) => BigInt(sizeBytes),
};

/**
 * Holds an image file to what its name claims.
 * @param file   path on the host, for the message and its extension
 * @param header its first bytes; a shorter file gives fewer
 * @param sizeBytes of the whole file: what lies behind its end is cut off
 * @throws IMAGE_UNTRUSTED
 */
export function checkImageHeader(file: string, header: Buffer, sizeBytes: number): ImageHeader {
  const format = claimedFormat(file);
  try {
    if (!isReadable(format)) throw new HeaderRefusal(`images of format ${format} are not read`);
    const found = detectFormat(header);
    if (found !== format) throw new HeaderRefusal(`its name says ${format}, its first bytes say ${found}`);
    const virtualSize = READERS[format](header, sizeBytes);
    if (virtualSize <= 0n || virtualSize > BigInt(MAX_VIRTUAL_SIZE_BYTES)) {
      throw new HeaderRefusal(`it claims a size of ${virtualSize} bytes`);
    }
    return { format, virtualSizeBytes: Number(virtualSize) };
  } catch (error) {
    if (!(error instanceof HeaderRefusal)) throw error;
    throw new ProvisiondError('IMAGE_UNTRUSTED', `image ${file} is not used as base: ${error.message}`, {
      details: { file },
    });
  }
}

function isReadable(format: string): format is ImageHeader['format'] {
  return Object.hasOwn(READERS, format);
}

function detectFormat(header: Buffer): string {
  const text = header.toString('latin1');
  const found = SIGNATURES.find(([, offset, bytes]) => text.startsWith(bytes, offset));
  if (found?.[0] === 'qcow2' && header.length >= 8 && header.readUInt32BE(4) === 1) return 'qcow';
  return found?.[0] ?? 'raw';
}
