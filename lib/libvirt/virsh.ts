/**
 * The only parser of what virsh prints.
 *
 * Traps: `virsh "a; b"` goes on after a failed statement and its exit code is that of the last one, so failures are
 * read from stderr; names may hold blanks, so only forms with the name at the end of a line are used; an unknown
 * name and a libvirtd that is down both end with 1.
 */
import { ProvisiondError, type ErrorCode } from '../errors';
import type { SnapshotInfo } from './provisioner';

/** `<uuid> <name>` lines of `list --all --uuid --name`, by name. */
export function parseDomainNames(lines: readonly string[]): Map<string, string> {
  const uuids = new Map<string, string>();
  for (const line of lines) {
    const found = /^([0-9a-f-]{36}) (.+)$/.exec(line);
    if (found) uuids.set(found[2]!, found[1]!);
  }
  return uuids;
}

/**
 * Rows of the table of `list --all`: name → id (while active) and state. The state is looked for at the end of the row,
 * because names may hold blanks.
 */
export function parseDomainTable(text: string): Map<string, { id?: number; state: string }> {
  const domains = new Map<string, { id?: number; state: string }>();
  for (const line of text.split('\n')) {
    const found =
      /^ (-|\d+) {3,}(\S.*?) {3,}(no state|running|idle|paused|in shutdown|shut off|crashed|pmsuspended)\s*$/.exec(
        line,
      );
    if (!found) continue;
    const state = found[3]!;
    domains.set(found[2]!, found[1] === '-' ? { state } : { id: Number(found[1]), state });
  }
  return domains;
}

/** One name a line. */
export function parseNames(lines: readonly string[]): string[] {
  return lines.map((line) => line.trim()).filter((line) => line !== '');
}

/** The table of `snapshot-list`: name, creation time, state. */
export function parseSnapshots(text: string): SnapshotInfo[] {
  return text.split('\n').flatMap((line) => {
    const found = /^ (\S.*?) {2,}(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}) {2,}(\S+)\s*$/.exec(line);
    return found ? [{ name: found[1]!, createdAt: found[2]!, state: found[3]! }] : [];
  });
}

/** The address of `net-dhcp-leases NETWORK --mac MAC`; null when there is no lease. */
export function parseLease(text: string): string | null {
  return /\s(\d+\.\d+\.\d+\.\d+|[0-9a-f:]*::?[0-9a-f:]*)\/\d+\s/i.exec(text)?.[1] ?? null;
}

/** What virsh complained about, without its `error:` marks; empty when it did not. */
export function complaints(stderr: string): string[] {
  return [...stderr.matchAll(/^error: (.+)$/gm)].map((found) => found[1]!.trim()).filter((text) => text !== '');
}

/** libvirtd is gone or goes: whatever was asked for, it was not refused, and may even have been done. */
const AWAY =
  /failed to connect to the hypervisor|Failed to connect socket|(cannot|unable to) (recv|write) data|End of file while reading data|client socket is closed|Disconnected from .* due to/i;

/**
 * The error for a virsh that failed: what it said last is the reason, what it said first is the deed.
 * @param code when libvirt said no; one that is away is LIBVIRT_FAILED, which is tried again
 */
export function virshError(code: ErrorCode, doing: string, result: { exitCode: number; stderr: string }) {
  const said = complaints(result.stderr).join(': ') || result.stderr.trim() || `exit code ${result.exitCode}`;
  const actual = AWAY.test(said) ? 'LIBVIRT_FAILED' : code;
  return new ProvisiondError(actual, `${doing}: ${said}`, { details: { exitCode: result.exitCode } });
}
