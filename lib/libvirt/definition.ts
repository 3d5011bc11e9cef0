/**
 * The persistent definition of a domain, as text. Reading it to a tree and writing that back would lose the order of what
 * others wrote in it (lib/xml.ts), so what is changed is changed in the text, and then held to the tree: nothing but what was
 * meant may differ. A `<backingStore>` never stays: it would win over the header of the disk.
 */
import { isDeepStrictEqual } from 'node:util';
import { ProvisiondError } from '../errors';
import type { DomainIdentity } from '../model/identity';
import { readVolumeId, type Volume } from '../model/volume';
import type { XmlNode } from '../plugins/api';
import { childrenOf, firstOf, parseXml } from '../xml';
import { readIdentity } from './domain-identity';

export interface DefinedDisk {
  readonly target: string;
  readonly bus: string;
  readonly device: 'disk' | 'cdrom' | 'floppy' | 'lun';
  /** Null: an empty drive, or a disk that is no file. */
  readonly file: string | null;
  readonly format: string;
  /** The guest cannot write to it: a seed, a medium. */
  readonly isReadOnly: boolean;
}

export interface Definition {
  readonly text: string;
  readonly identity: DomainIdentity | null;
  /** In the order of their targets. */
  readonly disks: readonly DefinedDisk[];
  readonly usesUefi: boolean;
}

/** What becomes of the disk of a target: another file, a new disk, or (null) none. */
export interface DiskEdit {
  readonly target: string;
  readonly disk: { readonly path: string; readonly format: string } | null;
}

export interface DefinitionEdit {
  readonly disks: readonly DiskEdit[];
  /** What the domain says of itself. */
  readonly image?: Pick<DomainIdentity, 'imageId' | 'imageRevisionId' | 'imageName'> & { readonly prettyName: string };
  /** The ISO image in its drive, nothing: none; it boots from it while its disk is empty. */
  readonly media?: string;
}

/** @throws LIBVIRT_FAILED for what is no definition */
export function readDefinition(text: string, what: string): Definition {
  const { domain } = parseXml(text, what);
  if (!domain) throw new ProvisiondError('LIBVIRT_FAILED', `${what} is of no domain`);
  const disks = childrenOf(firstOf(domain, 'devices'), 'disk').map(readDisk);
  const loader = firstOf(domain, 'os', 'loader');
  const usesUefi = firstOf(domain, 'os')?.$?.firmware === 'efi' || loader?.$?.type === 'pflash';
  return { text, identity: readIdentity(domain), disks: disks.sort(byTarget), usesUefi };
}

function readDisk(disk: XmlNode): DefinedDisk {
  const target = firstOf(disk, 'target')?.$ ?? {};
  return {
    target: target.dev ?? '',
    bus: target.bus ?? '',
    device: (disk.$?.device ?? 'disk') as DefinedDisk['device'],
    file: firstOf(disk, 'source')?.$?.file ?? null,
    format: firstOf(disk, 'driver')?.$?.type ?? 'raw',
    isReadOnly: childrenOf(disk, 'readonly').length > 0,
  };
}

/** The volumes that a definition has, in the order of their targets. */
export function volumesOf(shortName: string, { disks }: Pick<Definition, 'disks'>): Volume[] {
  return disks.flatMap(({ device, file, format, target, isReadOnly }): Volume[] => {
    if (device !== 'disk' || file === null || isReadOnly) return [];
    const id = readVolumeId(shortName, file);
    if (id) return [{ ...id, path: file, format, target }];
    return [{ type: 'data', name: target, generation: 0, path: file, format, target, foreign: true }];
  });
}

/** `vdb` before `vdaa`. */
function byTarget(a: { target: string }, b: { target: string }): number {
  return a.target.length - b.target.length || (a.target < b.target ? -1 : 1);
}

const DISK = /[ \t]*<disk\b[^>]*>[\s\S]*?<\/disk>\n?/g;

/**
 * The same domain with other disks.
 * @throws INTERNAL when the text could not be changed as it was meant: then nothing was
 */
export function editDefinition({ text, disks }: Definition, edit: DefinitionEdit): string {
  const wanted = new Map(edit.disks.map(({ target, disk }) => [target, disk]));
  const added = edit.disks.filter(({ target, disk }) => disk && !disks.some((known) => known.target === target));
  const blocks = text.match(DISK) ?? [];
  const last = blocks.filter((block) => readBlock(block).device === 'disk').at(-1);
  const edited = text.replace(DISK, (block) => {
    const { target, device } = readBlock(block);
    const disk = wanted.get(target);
    const kept = disk === null ? '' : withoutChain(disk === undefined ? block : withFile(block, disk));
    const loaded = device === 'cdrom' && edit.media !== undefined ? withMedia(kept, edit.media) : kept;
    return block === last ? `${loaded}${added.map((one) => newBlock(block, one)).join('')}` : loaded;
  });
  const booting = edit.media ? withDriveToBootFrom(edited) : edited;
  const whole = edit.image ? withImage(booting, edit.image) : booting;
  confirm(text, whole, edit);
  return whole;
}

function readBlock(block: string): DefinedDisk {
  return readDisk(parseXml(block.trim(), 'a disk of a definition').disk!);
}

function withoutChain(block: string): string {
  return block
    .replace(/\s*<backingStore\b[^>]*\/>/g, '')
    .replace(/\s*<backingStore\b[^>]*>[\s\S]*<\/backingStore>/, '');
}

function withFile(block: string, disk: { path: string; format: string }): string {
  return withoutChain(block)
    .replace(/(<source\b[^>]*?\bfile=)(?:'[^']*'|"[^"]*")/, (_, before: string) => `${before}'${escapeXml(disk.path)}'`)
    .replace(/(<driver\b[^>]*?\btype=)(?:'[^']*'|"[^"]*")/, (_, before: string) => `${before}'${disk.format}'`);
}

/** @param file nothing: its drive is empty */
function withMedia(block: string, file: string): string {
  if (file === '') return block.replace(/[ \t]*<source\b[^>]*\/>\n?/, '');
  const source = `<source file='${escapeXml(file)}'/>`;
  if (/<source\b[^>]*\/>/.test(block)) return block.replace(/<source\b[^>]*\/>/, () => source);
  return block.replace(/([ \t]*)<target\b/, (target, space: string) => `${space}${source}\n${target}`);
}

/** What has an empty disk boots from its drive: once, for then the disk is empty no more, and comes first. */
function withDriveToBootFrom(text: string): string {
  return text.replace(/<os\b[^>]*>[\s\S]*?<\/os>/, (os) => {
    const last = os.match(/[ \t]*<boot\b[^>]*\/>\n?/g)?.at(-1);
    if (last === undefined || /<boot\b[^>]*cdrom/.test(os)) return os;
    return os.replace(last, () => `${last}${last.replace(/dev=(['"])[a-z]+/, 'dev=$1cdrom')}`);
  });
}

/** A disk as its neighbour is: bus and driver are those that the guest can use. libvirt finds it an address. */
function newBlock(neighbour: string, { target, disk }: DiskEdit): string {
  const { bus } = readBlock(neighbour);
  const driver = /<driver\b[^>]*?\bname=(?:'([^']*)'|"([^"]*)")/.exec(neighbour);
  const lines = [
    `    <disk type='file' device='disk'>`,
    `      <driver name='${driver?.[1] ?? driver?.[2] ?? 'qemu'}' type='${disk!.format}'/>`,
    `      <source file='${escapeXml(disk!.path)}'/>`,
    `      <target dev='${target}' bus='${bus}'/>`,
    `    </disk>`,
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function withImage(text: string, image: NonNullable<DefinitionEdit['image']>): string {
  const { imageId, imageRevisionId, imageName, prettyName } = image;
  const identity = text.replace(/<provisiond:identity\b[^>]*>/, (element) =>
    Object.entries({ imageId, imageRevisionId, imageName }).reduce(
      (edited, [name, value]) => edited.replace(new RegExp(`\\b${name}=("[^"]*"|'[^']*')`), () => `${name}="${value}"`),
      element,
    ),
  );
  // The lines that VCL's front end and admins read.
  return identity.replace(/<description>[\s\S]*?<\/description>/, (description) =>
    description
      .replace(/^(<description>)?image: .*$/m, (_, start = '') => `${start}image: ${escapeXml(prettyName)}`)
      .replace(/^(<description>)?revision: .*$/m, (_, start = '') => `${start}revision: ${escapeXml(imageName)}`),
  );
}

export function escapeXml(text: string): string {
  const names: Record<string, string> = { '&': 'amp', '<': 'lt', '>': 'gt', "'": 'apos', '"': 'quot' };
  return text.replace(/[&<>'"]/g, (character) => `&${names[character]};`);
}

/** Besides disks, identity and description both are the same; and the disks are those that were wanted. */
function confirm(before: string, after: string, edit: DefinitionEdit): void {
  const [old, edited] = [before, after].map((text) => parseXml(text, 'a definition').domain!);
  const rest = (domain: XmlNode) => {
    const devices = { ...firstOf(domain, 'devices'), disk: [] };
    const os = firstOf(domain, 'os');
    const boot = childrenOf(os, 'boot').filter(({ $ }) => edit.media === undefined || $?.dev !== 'cdrom');
    return { ...domain, os: [{ ...os, boot }], devices: [devices], metadata: [], description: [] };
  };
  const { disks, identity } = readDefinition(after, 'the new definition');
  const isAsWanted =
    edit.disks.every(({ target, disk }) => {
      const found = disks.find((one) => one.target === target);
      return disk === null ? !found : found?.file === disk.path && found.format === disk.format;
    }) &&
    (edit.media === undefined || disks.some(({ device, file }) => device === 'cdrom' && (file ?? '') === edit.media)) &&
    (edit.image === undefined || identity === null || identity.imageRevisionId === edit.image.imageRevisionId);
  if (isAsWanted && isDeepStrictEqual(squeeze(rest(old!)), squeeze(rest(edited!)))) return;
  throw new ProvisiondError('INTERNAL', 'the definition of the domain could not be changed as it was meant');
}

/** White space between elements counts as nothing. */
function squeeze(node: XmlNode): unknown {
  const entries = Object.entries(node).map(([key, value]) => {
    if (Array.isArray(value)) return [key, value.map(squeeze)];
    return [key, typeof value === 'string' ? value.trim() || undefined : value];
  });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as unknown;
}
