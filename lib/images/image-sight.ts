/** What image files a host has, as a part of the one look at it (lib/libvirt/look.ts). */
import path from 'node:path';
import { HEADER_BYTES, VMDK_HEADER_BYTES } from './image-header';

export interface ImageFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Seconds since 1970 by the host's clock, of the last change of its content. */
  readonly modified: number;
  /** Permission bits. */
  readonly mode: number;
  /** Its first bytes. */
  readonly header: Buffer;
}

export interface ImageSight {
  /** Files in the datastore that could be the base image. */
  readonly datastore: readonly ImageFile[];
  /** Files in the repository that it could be copied from: one, or the parts of a split vmdk. */
  readonly repository: readonly ImageFile[];
}

/**
 * Shell functions: `image_files FOLDER PATTERN` prints one line a file, `image_line FILE` the line of one,
 * `<size> <seconds of the last change> <mode in octal> <header in hex> <path>`.
 * Links are not followed: an image is a regular file.
 */
export const IMAGE_FILES = `
image_files() {
  [ -d "$1" ] || return 0
  find "$1/" -type f -iname "$2" 2>/dev/null | while IFS= read -r file; do
    [ -f "$file" ] || continue
    image_line "$file"
  done
}
image_line() { printf '%s %s %s\\n' "$(stat -c '%s %Y %a' "$1")" "$(image_header "$1")" "$1"; }
image_header() {
  header=$(od -An -v -tx1 -N${HEADER_BYTES} "$1" | tr -d ' \\n')
  case $header in 4b444d56*) header=$(od -An -v -tx1 -N${VMDK_HEADER_BYTES} "$1" | tr -d ' \\n') ;; esac
  printf '%s' "$header"
}`;

/** Reads the lines that `image_files` printed. */
export function parseImageFiles(lines: readonly string[]): ImageFile[] {
  return lines.flatMap((line) => {
    const found = /^(\d+) (\d+) ([0-7]+) ([0-9a-f]*) (\/.*)$/.exec(line);
    if (!found) return [];
    const [, size, modified, mode, header, file] = found;
    return [
      {
        path: path.posix.normalize(file!),
        sizeBytes: Number(size),
        modified: Number(modified),
        mode: Number.parseInt(mode!, 8),
        header: Buffer.from(header!, 'hex'),
      },
    ];
  });
}

/** Files beside an image that share its name. */
export const NO_IMAGES = new Set(['xml', 'reference', 'vmx', 'txt', 'part', 'lock', 'nvram', 'vmsd', 'vmxf', 'sha256']);

/** `<image>.<extension>` and nothing else: `linux-12-v1.qcow2` is no revision of `linux-12-v10`. */
export function datastoreCandidates(imageName: string, files: readonly ImageFile[]): ImageFile[] {
  return files.filter((file) => {
    const rest = suffixOf(imageName, file);
    return rest !== null && /^\.[a-z0-9]+$/.test(rest) && !NO_IMAGES.has(rest.slice(1));
  });
}

/**
 * As `find_repository_image_file_paths` of VCL's libvirt module: description files are left out; of a split vmdk the
 * parts are taken and its descriptor, `<image>.vmdk`, is left out, because qemu-img fails on it.
 */
export function repositoryCandidates(imageName: string, files: readonly ImageFile[]): ImageFile[] {
  const whole = datastoreCandidates(imageName, files);
  const parts = files.filter((file) => /^-(?:[sf]\d+|flat)\.vmdk$/.test(suffixOf(imageName, file) ?? ''));
  if (parts.length === 0) return whole;
  const others = whole.filter((file) => !file.path.toLowerCase().endsWith('.vmdk'));
  return [...others, ...parts.sort((a, b) => (a.path < b.path ? -1 : 1))];
}

function suffixOf(imageName: string, file: ImageFile): string | null {
  const base = path.posix.basename(file.path).toLowerCase();
  return base.startsWith(imageName.toLowerCase()) ? base.slice(imageName.length) : null;
}
