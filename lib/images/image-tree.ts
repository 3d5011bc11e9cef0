/** Which image files stand on which. Pure. */
import path from 'node:path';
import type { SurveyedImage } from './base-survey';

export interface ImageNode {
  readonly file: SurveyedImage;
  readonly overlays: readonly ImageNode[];
}

export interface ImageTree {
  /** Files that are no overlays: base images and disks of their own, with all that stands on them. */
  readonly roots: readonly ImageNode[];
  /** Overlays whose backing file is not there, and those that stand on each other in a circle. */
  readonly broken: readonly SurveyedImage[];
}

export function buildTree(files: readonly SurveyedImage[]): ImageTree {
  const children = new Map<string, SurveyedImage[]>();
  for (const file of files) {
    if (file.backing !== null) children.set(file.backing, [...(children.get(file.backing) ?? []), file]);
  }
  const reached = new Set<SurveyedImage>();
  const nodeOf = (file: SurveyedImage): ImageNode => {
    reached.add(file);
    return { file, overlays: (children.get(file.path) ?? []).map(nodeOf) };
  };
  const roots = files.filter(({ backing }) => backing === null).map(nodeOf);
  return { roots, broken: files.filter((file) => !reached.has(file)) };
}

/** `<image>.<extension>` and unfinished copies of it. */
export function imageNameOf(file: string): string {
  const name = path.posix.basename(file);
  const found = /^(.*)\.[a-z0-9]+(?:\.[^/]*\.part)?$/i.exec(
    name.endsWith('.part') ? name.replace(/\.[^.]*\.part$/, '') : name,
  );
  return found?.[1] ?? name;
}

/** Names of files that some overlay stands on, on whatever host: shared storage may be mounted elsewhere. */
export function neededNames(files: readonly SurveyedImage[]): ReadonlySet<string> {
  return new Set(files.flatMap(({ backing }) => (backing === null ? [] : [path.posix.basename(backing)])));
}
