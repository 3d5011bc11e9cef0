/** The folder that a fake VM host keeps its world in. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface WorldFolderOptions {
  /** The folder of a world that another process made, and will close. */
  readonly at?: string;
  /** A file system of its own of that size (needs root), to be filled up. */
  readonly diskMiB?: number;
}

export class WorldFolder {
  /** The world: `domains`, `networks`, `faults` …, and the folders of `path`. */
  readonly folder: string;
  readonly #mounted: boolean;

  constructor({ at, diskMiB }: WorldFolderOptions) {
    this.folder = at ?? mkdtempSync(path.join(tmpdir(), 'provisiond-world-'));
    this.#mounted = diskMiB !== undefined;
    if (this.#mounted && at === undefined) {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskMiB}m`, 'provisiond-world', this.folder]);
    }
  }

  /** Keeps a copy of the world as it is now, for {@link restore}. */
  remember(): void {
    rmSync(`${this.folder}.kept`, { recursive: true, force: true });
    execFileSync('cp', ['-a', this.folder, `${this.folder}.kept`]);
  }

  /** Puts the world back as it was remembered, in the same place. */
  restore(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    execFileSync('cp', ['-a', `${this.folder}.kept`, this.folder]);
  }

  /** A path of the world: `datastore`, `repository`, `vms`, `xml`, and what is in them. */
  path(...parts: string[]): string {
    return path.join(this.folder, ...parts);
  }

  /** All files below a folder of the world, sorted, with paths from there. */
  files(...parts: string[]): string[] {
    const entries = readdirSync(this.path(...parts), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory());
    return files.map((file) => path.relative(this.path(...parts), path.join(file.parentPath, file.name))).sort();
  }

  /** Fills the file system of the world (made with `diskMiB`) but for so much. @returns gives the space back */
  fillDisk(leaveKiB = 0): () => void {
    if (!this.#mounted) throw new Error('only a world with a file system of its own (diskMiB) can be filled up');
    const file = this.path('filler');
    const stat = execFileSync('df', ['-k', '--output=avail', this.folder]).toString().split('\n')[1]!;
    const sizeKiB = Math.max(0, Number(stat.trim()) - leaveKiB);
    execFileSync('fallocate', ['-l', `${sizeKiB}KiB`, file]);
    return () => rmSync(file, { force: true });
  }

  protected remove(): void {
    if (this.#mounted) execFileSync('umount', ['-l', this.folder]);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    rmSync(`${this.folder}.kept`, { recursive: true, force: true });
  }

  /** In one go, for those who read it meanwhile. */
  protected write(file: string, text: string): void {
    const whole = this.path(file);
    const draft = `${whole}.draft`;
    writeFileSync(draft, text);
    renameSync(draft, whole);
  }

  protected lines(...parts: string[]): string[] {
    const file = this.path(...parts);
    try {
      return readFileSync(file, 'utf8').split('\n').filter(Boolean);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }
}
