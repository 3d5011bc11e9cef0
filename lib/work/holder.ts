/**
 * What a daemon calls itself as holder of a lease, and whether another holder is dead for certain. Only a process of this
 * very machine (the same boot, the same process namespace) can be known to be dead; of all others the lease decides.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** A process that we may not look at: neither alive nor dead for certain. */
const HIDDEN = 'hidden';

/** `<host>:<process id>:<started, in ticks after boot>:<boot>:<process namespace>`; without /proc just the first two. */
export function ownHolder(): string {
  const place = placeOfProcesses();
  const started = startOf(process.pid);
  const more = place === null || started === null ? [] : [started, place];
  return [hostname(), process.pid, ...more].join(':');
}

/** Positive evidence only: a holder that we cannot look at is not dead. */
export function isCertainlyDead(holder: string): boolean {
  const [host, pid, started, ...place] = holder.split(':');
  if (host !== hostname() || place.length === 0 || place.join(':') !== placeOfProcesses()) return false;
  if (!/^\d+$/.test(pid ?? '')) return false;
  const now = startOf(Number(pid));
  return now !== HIDDEN && now !== started;
}

function placeOfProcesses(): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0];
    return namespace === undefined ? null : `${boot}:${namespace}`;
  } catch {
    return null;
  }
}

/** When a process was started; null: there is none of that number, or only its corpse. */
function startOf(pid: number): string | null {
  try {
    // The name, in parentheses, may hold anything; state is field 3, start time field 22.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\)\s/s, '')
      .split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    return HIDDEN;
  }
}
