/**
 * File systems that fill up at the worst moment: the folder of the disks and that of the base images of a fake world become small
 * ones of their own (tmpfs: needs root), and whichever is being written to has not a byte left when the file of one's choice is made.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { FakeHost } from './fake-host';

/** More than what is asked for before a small overlay is made, and little memory. */
const SIZE_MIB = 72;

export class SmallDisks {
  private readonly notes = mkdtempSync(path.join(tmpdir(), 'provisiond-full-'));
  private readonly folders: readonly string[];

  constructor(host: FakeHost) {
    this.folders = ['vms', 'datastore'].map((name) => host.path(name));
    for (const folder of this.folders) {
      const kept = path.join(this.notes, path.basename(folder));
      execFileSync('cp', ['-a', '--sparse=never', folder, kept]);
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MIB}m`, 'provisiond-small', folder]);
      execFileSync('cp', ['-a', '--sparse=never', `${kept}/.`, folder]);
    }
    this.fillNever();
    // In front of the qemu-img of the world: counts the files that are made.
    const real = path.join(__dirname, 'fake-bin', 'qemu-img');
    const program = host.path('bin', 'qemu-img');
    const text = `#!/bin/sh
part=
for word in "$@"; do case $word in *.part) part=$word ;; esac; done
case $1 in create | convert)
  if [ -n "$part" ]; then
    made=$(($(cat '${this.notes}/made') + 1))
    echo "$made" >'${this.notes}/made'
    if [ "$made" -eq "$(cat '${this.notes}/at')" ]; then dd if=/dev/zero of="\${part%/*}/.filler" bs=64k 2>/dev/null; fi
  fi ;;
esac
# The next one looks for the real one, and is not to find this one.
PATH=$(printf %s "$PATH" | sed 's|${host.path('bin')}:||') exec '${real}' "$@"
`;
    writeFileSync(program, text);
    chmodSync(program, 0o755);
  }

  /** From now on: the disk is full when that file is made, the first being 1. */
  fillAt(file: number): void {
    this.empty();
    writeFileSync(path.join(this.notes, 'made'), '0\n');
    writeFileSync(path.join(this.notes, 'at'), `${file}\n`);
  }

  fillNever(): void {
    this.fillAt(-1);
  }

  /** How many files were made since. */
  get made(): number {
    return Number(readFileSync(path.join(this.notes, 'made'), 'utf8'));
  }

  private empty(): void {
    for (const folder of this.folders) rmSync(path.join(folder, '.filler'), { force: true });
  }

  close(): void {
    for (const folder of this.folders) execFileSync('umount', ['-l', folder]);
    rmSync(this.notes, { recursive: true, force: true });
  }
}
