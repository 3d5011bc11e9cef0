/** What libvirt tells of its domains as it happens. A hint to look: what counts is the look that follows. */
import { type Host, script } from '../host/host';
import type { ExitReason } from '../model/vm-states';

export interface DomainEvent {
  readonly domain: string;
  /** How it came to be off, where the event says so. */
  readonly exit: ExitReason | null;
  /** A new life of the guest began. */
  readonly started: boolean;
}

/**
 * A line now and then says that somebody listens still; when nobody does, writing it fails, and the script ends with all
 * that it began. It ends as well when virsh does, because libvirtd went.
 */
const LISTEN = `
set -u
virsh -q event --all --loop --timestamp &
pid=$!
trap 'kill "$pid" 2>/dev/null' EXIT
trap 'exit 0' HUP INT TERM PIPE
sleep 0.3
while kill -0 "$pid" 2>/dev/null; do
  echo || exit 0
  sleep 2
done
exit 1
`;

/** Listened to anew after so long: what was told is collected until then. */
const LISTEN_MS = 15 * 60_000;

export interface Listener {
  /** libvirt is listened to now: what happened before is found by a look. */
  readonly onReady: () => void;
  readonly onEvent: (event: DomainEvent) => void;
}

/** Returns when there is nothing more to hear. @throws errors of the host; the signal's reason */
export async function listenTo(host: Host, { onReady, onEvent }: Listener, signal: AbortSignal): Promise<void> {
  let rest = '';
  let ready = false;
  const onStdout = (chunk: string) => {
    if (!ready) onReady();
    ready = true;
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const event = parseEvent(line);
      if (event) onEvent(event);
    }
  };
  await host.run(script(LISTEN), { expect: 'any', onStdout, signal, timeoutMs: LISTEN_MS });
}

const EXITS: Readonly<Record<string, ExitReason>> = {
  'Stopped Shutdown': 'shutdown',
  'Stopped Destroyed': 'destroyed',
  'Stopped Crashed': 'crashed',
  // What libvirt says of a QEMU that was killed; a start that failed tells no end.
  'Stopped Failed': 'crashed',
  'Stopped Saved': 'saved',
  'Stopped Migrated': 'migrated',
  'Stopped Snapshot': 'from snapshot',
  'Crashed Panicked': 'crashed',
  'Crashed Crashloaded': 'crashed',
};

/** `<time>: event '<kind>' for domain '<name>'[: <more>]`; null for every other line. */
export function parseEvent(line: string): DomainEvent | null {
  const found = /^\S+ \S+: event '([a-z-]+)' for domain '(.*?)'(?:: (.*))?$/.exec(line);
  if (!found) return null;
  const [, kind, domain, more = ''] = found;
  // Of jobs and devices there is more to hear than to know.
  if (!['lifecycle', 'reboot', 'pm-suspend', 'pm-wakeup', 'io-error', 'io-error-reason', 'watchdog'].includes(kind!)) {
    return null;
  }
  const exit = kind === 'lifecycle' ? (EXITS[more.trim()] ?? null) : null;
  return { domain: domain!, exit, started: kind === 'reboot' || more.startsWith('Started Booted') };
}
