/**
 * The hands of an operation: virsh's verbs on one computer's domain, each behind the guard that virsh itself lacks
 * (`start` of a suspended VM resumes it, `resume` wakes a crashed one, `suspend` of either says it went well).
 */
import path from 'node:path';
import { ProvisiondError } from '../errors';
import { Fence } from '../host/fence';
import { type Host, type RunResult, script } from '../host/host';
import type { HostFacts } from '../model/reservation';
import { DOMAIN_STATE } from './domain-state';
import { ownsDomain } from './ownership';
import { complaints, virshError } from './virsh';
import { firstOf, parseXml } from '../xml';
import { isActive, lookAtVm, type VmSight } from './vm-sight';

export interface VmParts {
  readonly computer: { readonly id: number; readonly shortName: string };
  readonly hostFacts: HostFacts;
  readonly host: Host;
  readonly managementNodeId: number;
  /** Of the lease that the work is done under. */
  readonly token: number;
  /** For what moves memory or disks. */
  readonly longTimeoutMs: number;
}

/** virsh's words for a domain whose guest runs; Xen calls an idle one blocked, or says nothing. */
export const RUNNING = ['running', 'idle', 'in shutdown', 'no state'] as const;

export interface Guard {
  /** virsh's words of the states that the verb is for. */
  readonly states: readonly string[];
  readonly saved?: 'yes' | 'no';
  /** Takes long: newer work need not wait for it. */
  readonly long?: true;
}

const BAD_STATE = 114;

/** `$1` UUID `$2` states with | between `$3` managed save: yes, no or any `$4` long or short, then virsh's arguments */
const GUARDED = `
set -u
${DOMAIN_STATE}
fence
uuid=$1 states=$2 saved=$3 length=$4
shift 4
now=$(domain_state "$uuid") || exit 1
case "|$states|" in *"|$now|"*) ;; *) echo "error: the domain is $now" >&2; exit ${BAD_STATE} ;; esac
if [ "$saved" != any ]; then
  has=$(virsh -q dominfo "$uuid" | sed -n 's/^Managed save: *//p')
  [ "$has" = "$saved" ] || { echo "error: saved memory: $has" >&2; exit ${BAD_STATE}; }
fi
[ "$length" = short ] || unfence
exec virsh -q "$@"
`;

/**
 * `$1` UUID. Off, and nothing saved, whatever it was: memory that a running domain left behind is another time's. All that is
 * asked is asked before the plug is pulled, for there are guests that are to start again at once. What is off has no id: Xen's
 * driver also calls shut off what it keeps after a crash.
 */
const SWITCH_OFF = `
set -u
fence
saved=
for attempt in 1 2 3; do
  facts=$(virsh -q dominfo "$1") || exit 1
  case $facts in *'Managed save: '*yes*) saved=yes ;; esac
  case \${facts%%Name:*} in *[0-9]*) ;; *) break ;; esac
  said=$(virsh -q destroy "$1" 2>&1) && break
  [ "$attempt" -lt 3 ] || { printf '%s\\n' "$said" >&2; exit 1; }
  sleep 1
done
[ -z "$saved" ] || exec virsh -q managedsave-remove "$1"
`;

/**
 * `$1` UUID `$2` file. The memory of a crashed guest; the one that is there already is replaced when the new one is whole.
 * A disk is not filled for that: a tenth of it stays free.
 */
const DUMP = `
set -u
${DOMAIN_STATE}
fence
uuid=$1 file=$2
now=$(domain_state "$uuid") || exit 1
[ "$now" = crashed ] || { echo "error: the domain is $now" >&2; exit ${BAD_STATE}; }
need=$(virsh -q dominfo "$uuid" | sed -n 's/^Max memory: *\\([0-9]*\\) KiB.*/\\1/p')
free=$(df -Pk "\${file%/*}" | awk 'NR == 2 { print $4 - int($2 / 10) }')
[ "\${free%%.*}" -gt "\${need:-0}" ] || { echo "error: no room for $need KiB in \${file%/*}" >&2; exit 1; }
umask 077
rm -f "$file.part"
dump() { said=$(virsh -q dump "$@" "$uuid" "$file.part" 2>&1); }
# Xen's driver writes nothing but memory, and does not know the flag that says so.
if dump --memory-only || { [ "\${said#*unsupported flags}" != "$said" ] && dump; }; then
  chmod 600 "$file.part" && chown 0:0 "$file.part" && mv -f "$file.part" "$file" && echo "$(($(stat -c %s "$file") / 1048576))"
else
  rm -f "$file.part"
  printf '%s\\n' "$said" >&2
  exit 1
fi
`;

/** `$1` UUID */
const ABORT_JOB = `
set -u
fence
virsh -q domjobabort "$1"
`;

/** `$1` UUID `$2` states with | between `$3` seconds. Changes nothing. */
const WAIT = `
set -u
${DOMAIN_STATE}
end=$(($(date +%s) + $3))
while :; do
  now=$(domain_state "$1") || exit 1
  case "|$2|" in *"|$now|"*) exit 0 ;; esac
  [ "$(date +%s)" -lt "$end" ] || exit 3
  sleep 0.3
done
`;
const WAIT_SECONDS = 20;

export class Vm {
  /** Of this work, for whatever else it does on the host. */
  readonly fence: Fence;

  constructor(readonly parts: VmParts) {
    const { computer, hostFacts, managementNodeId, token } = parts;
    const note = path.posix.join(hostFacts.profile.vmPath, `.${computer.shortName}.load`);
    this.fence = new Fence(note, managementNodeId, token);
  }

  get host(): Host {
    return this.parts.host;
  }

  /**
   * The computer's domain as it is now; null: the host answers and has none.
   * @throws LIBVIRT_FAILED, HOST_UNREACHABLE …; CONFLICT when there are several and none is the only active one
   */
  async look(signal?: AbortSignal): Promise<VmSight | null> {
    const { computer, hostFacts, host } = this.parts;
    const place = { computerId: computer.id, shortName: computer.shortName, vmPath: hostFacts.profile.vmPath };
    return chooseDomain(this.parts, await lookAtVm(host, place, signal), () => {
      throw new ProvisiondError('CONFLICT', `computer ${computer.shortName} has several domains on ${host.name}`);
    });
  }

  /**
   * One verb of virsh. Never cut off: the command would go on over there.
   * @throws VM_BAD_POWER_STATE when the domain is in none of the states at that very moment, LIBVIRT_FAILED,
   *   CLAIM_LOST when newer work on the computer has begun
   */
  async act(doing: string, { uuid, name }: VmSight, guard: Guard, ...virsh: readonly string[]): Promise<RunResult> {
    const { states, saved = 'any', long } = guard;
    const what = `${doing} domain ${name} on host ${this.host.name}`;
    const args = [uuid, states.join('|'), saved, long ? 'long' : 'short', ...virsh];
    const result = await this.script(what, GUARDED, args, { long });
    if (result.exitCode === 0) return result;
    if (result.exitCode === BAD_STATE) {
      const message = `${what}: ${complaints(result.stderr).join(', ')} now`;
      throw new ProvisiondError('VM_BAD_POWER_STATE', message, { details: { expected: states } });
    }
    throw virshError('LIBVIRT_FAILED', what, result);
  }

  /** Pulls the plug and discards saved memory. What is off stays off. */
  async switchOff({ uuid, name }: VmSight): Promise<void> {
    const what = `switching off domain ${name} on host ${this.host.name}`;
    const result = await this.script(what, SWITCH_OFF, [uuid]);
    if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', what, result);
  }

  /** Keeps the memory of a crashed guest beside its disks: one file a computer. @throws LIBVIRT_FAILED */
  async dumpMemory({ uuid, name }: VmSight): Promise<{ readonly file: string; readonly MiB: number }> {
    const { computer, hostFacts } = this.parts;
    const file = path.posix.join(hostFacts.profile.vmPath, `${computer.shortName}.core`);
    const what = `keeping the memory of domain ${name} on host ${this.host.name}`;
    const result = await this.script(what, DUMP, [uuid, file], { long: true });
    if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', what, result);
    return { file, MiB: Number(result.stdout.trim()) };
  }

  /** What a snapshot says of itself. @throws SNAPSHOT_NOT_FOUND, LIBVIRT_FAILED */
  async describeSnapshot({ uuid, name, snapshots }: VmSight, snapshot: string): Promise<string> {
    if (!snapshots.some((known) => known.name === snapshot)) {
      const names = snapshots.map((known) => known.name).join(', ') || 'none';
      throw new ProvisiondError('SNAPSHOT_NOT_FOUND', `${name} has no snapshot '${snapshot}'; there are: ${names}`);
    }
    const argv = ['virsh', '-q', 'snapshot-dumpxml', uuid, snapshot];
    const result = await this.host.run(argv, { expect: 'any' });
    if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', `reading snapshot ${snapshot} of ${name}`, result);
    return firstOf(parseXml(result.stdout, `snapshot ${snapshot}`).domainsnapshot, 'description')?._ ?? '';
  }

  /** Ends what the hypervisor does with the domain's memory. No job is success. */
  async abortJob({ uuid, name }: VmSight): Promise<void> {
    await this.script(`aborting the job of domain ${name} on host ${this.host.name}`, ABORT_JOB, [uuid]);
  }

  /** @returns whether the domain came to one of the states in time @throws LIBVIRT_FAILED; the signal's reason */
  async waitFor({ uuid, name }: VmSight, states: readonly string[], timeoutMs: number, signal: AbortSignal) {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      signal.throwIfAborted();
      const seconds = Math.max(0, Math.min(WAIT_SECONDS, Math.ceil((deadline - performance.now()) / 1000)));
      const argv = script(WAIT, uuid, states.join('|'), seconds);
      const result = await this.host.run(argv, { expect: 'any', signal });
      if (result.exitCode === 0) return true;
      const what = `waiting for domain ${name} on host ${this.host.name}`;
      if (result.exitCode !== 3) throw virshError('LIBVIRT_FAILED', what, result);
      if (performance.now() >= deadline) return false;
    }
  }

  /** Waits for the guest's reset to be told; to be called before what brings it about. @returns whether it came */
  async hearReboot({ uuid }: VmSight, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const seconds = Math.ceil(timeoutMs / 1000);
    const argv = ['virsh', '-q', 'event', uuid, '--event', 'reboot', '--timeout', String(seconds)];
    const result = await this.host.run(argv, { expect: 'any', signal, timeoutMs: timeoutMs + 10_000 });
    return result.exitCode === 0;
  }

  /**
   * A constant script that changes something; its result is judged by the caller. Never cut off: it would go on over there.
   * @throws CLAIM_LOST when newer work on the computer has begun
   */
  async script(
    doing: string,
    text: string,
    args: readonly (string | number)[],
    { long, stdin }: { readonly long?: true | undefined; readonly stdin?: string } = {},
  ): Promise<RunResult> {
    try {
      const argv = script(this.fence.guard(text), ...this.fence.args, ...args);
      const timeoutMs = long ? { timeoutMs: this.parts.longTimeoutMs } : {};
      const result = await this.host.run(argv, {
        expect: 'any',
        ...timeoutMs,
        ...(stdin !== undefined && { stdin }),
      });
      this.fence.check(result.exitCode, doing);
      return result;
    } catch (error) {
      this.fence.afterError(error);
      throw error;
    }
  }
}

/** The one that is active, else the only one. */
export function chooseDomain(
  { computer, managementNodeId }: Pick<VmParts, 'computer' | 'managementNodeId'>,
  sights: readonly VmSight[],
  whenSeveral: () => VmSight | null,
): VmSight | null {
  const owner = { managementNodeId, computerId: computer.id, shortName: computer.shortName };
  const own = sights.filter((sight) => ownsDomain(owner, sight));
  const active = own.filter(isActive);
  if (active.length === 1) return active[0]!;
  return own.length > 1 ? whenSeveral() : (own[0] ?? null);
}
