/** What one look told of the files of a capture: the disk, what stands under the new name, how much room there is. */
import { ProvisiondError } from '../errors';
import { type CaptureMark, parseMark } from './capture-scripts';
import { type ImageFile, datastoreCandidates } from './image-sight';

export interface CaptureLook {
  /** What is wrong with what the disk stands on, and the file; null: nothing. */
  readonly trouble: { readonly kind: ChainTrouble; readonly file: string } | null;
  readonly disk: { readonly snapshots: readonly string[]; readonly virtualSizeBytes: number } | null;
  /** The most that a copy in the new format may take. */
  readonly copyBytes: number;
  readonly datastore: CapturePlace;
  /** Null: not there, or not mounted. */
  readonly repository: CapturePlace | null;
}

export interface CapturePlace {
  /** Null: the folder is not there yet. */
  readonly freeKiB: number | null;
  /** Images of the new name. */
  readonly images: readonly string[];
  /** Who made them, if a capture did. */
  readonly mark: CaptureMark | null;
}

/** Not there; in none of our folders; without a word on its format; not to be read; too many, or a circle. */
export type ChainTrouble = 'missing' | 'foreign' | 'guessed' | 'unreadable' | 'endless';

interface DiskInfo {
  readonly 'virtual-size': number;
  readonly snapshots?: readonly { readonly name: string }[];
}

/** @throws IMAGE_UNTRUSTED when qemu-img cannot read the disk */
export function readCaptureLook(sections: ReadonlyMap<string, string[]>, imageName: string): CaptureLook {
  const text = (name: string) => (sections.get(name) ?? []).join('\n').trim();
  const disk = sections.has('info') ? readJson<DiskInfo>(text('info'), 'info') : null;
  const measured = text('measure') === '' ? null : readJson<{ required: number }>(text('measure'), 'measure');
  const place = (name: 'datastore' | 'repository'): CapturePlace => {
    const lines = text(name).split('\n').filter(Boolean);
    const free = lines.find((line) => /^\d+$/.test(line));
    const files = lines.filter((line) => line.startsWith('/')).map(asFile);
    const images = datastoreCandidates(imageName, files).map((file) => file.path);
    return { freeKiB: free === undefined ? null : Number(free), images, mark: parseMark(text(`${name}-mark`)) };
  };
  const repository = place('repository');
  const [, kind, file] = /^(missing|foreign|guessed|unreadable|endless) (.*)$/m.exec(text('chain')) ?? [];
  return {
    trouble: kind === undefined ? null : { kind: kind as ChainTrouble, file: file! },
    disk: disk && {
      snapshots: (disk.snapshots ?? []).map(({ name }) => name),
      virtualSizeBytes: disk['virtual-size'],
    },
    copyBytes: measured?.required ?? disk?.['virtual-size'] ?? 0,
    datastore: place('datastore'),
    repository: repository.freeKiB === null ? null : repository,
  };
}

const asFile = (path: string): ImageFile => ({ path, sizeBytes: 0, modified: 0, mode: 0, header: Buffer.alloc(0) });

function readJson<T>(text: string, what: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new ProvisiondError('IMAGE_UNTRUSTED', `qemu-img ${what} of the disk to be captured said no JSON`, { cause });
  }
}
