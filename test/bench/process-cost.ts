/** What a process costs, from the kernel's own books. */
import { readFileSync } from 'node:fs';

/** Linux tells processor time in hundredths of a second, on every machine that Node runs on. */
const TICK_MS = 10;

/** Processor time of all its threads since its start, in user and kernel mode. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

export function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}
