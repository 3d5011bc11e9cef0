/** `get_virtual_disk_file_info` of VCL's KVM module: what qemu-img says of a disk file, also while a guest has it open. */
import { ProvisiondError } from '../errors';
import { type Host, script } from '../host/host';
import { LIMITED } from './qemu-img';

export interface DiskSnapshot {
  readonly id: string;
  readonly tag: string;
  /** `YYYY-MM-DD HH:MM:SS` in UTC. */
  readonly date: string;
  readonly vmSizeBytes: number;
  /** Time that the guest had been running, `HH:MM:SS.mmm`. */
  readonly vmClock: string;
}

export interface DiskInfo {
  readonly image: string;
  readonly format: string;
  readonly virtualSizeBytes: number;
  readonly virtualSizeMiB: number;
  /** What it takes of the file system. */
  readonly diskSizeBytes: number;
  readonly diskSizeMiB: number;
  readonly clusterSizeBytes: number | null;
  /** As it stands in the file, and the absolute path that it means; null: no overlay. */
  readonly backingFile: string | null;
  readonly backingFileActualPath: string | null;
  readonly backingFormat: string | null;
  readonly snapshots: readonly DiskSnapshot[];
}

/** `$1` file `$2` format */
const INFO = `
set -u
${LIMITED}
limit_seconds=30 limit_bytes=0
answer=$(limited info -U --output=json -f "$2" "$1") || exit 1
printf %s "$answer" | head -c 1048576
`;

interface Said {
  readonly filename: string;
  readonly format: string;
  readonly 'virtual-size': number;
  readonly 'actual-size': number;
  readonly 'cluster-size'?: number;
  readonly 'backing-filename'?: string;
  readonly 'full-backing-filename'?: string;
  readonly 'backing-filename-format'?: string;
  readonly snapshots?: readonly {
    readonly id: string;
    readonly name: string;
    readonly 'date-sec': number;
    readonly 'vm-state-size': number;
    readonly 'vm-clock-sec': number;
    readonly 'vm-clock-nsec': number;
  }[];
}

/**
 * @param format of the file; never guessed
 * @throws COMMAND_FAILED when there is no such file or it is of another format
 */
export async function readDiskInfo(host: Host, file: string, format: string): Promise<DiskInfo> {
  const { stdout } = await host.run(script(INFO, file, format));
  return parseDiskInfo(stdout, `${file} on host ${host.name}`);
}

/** Reads what `qemu-img info --output=json` said of a file. @throws COMMAND_FAILED */
export function parseDiskInfo(json: string, what: string): DiskInfo {
  let said: Said;
  try {
    said = JSON.parse(json) as Said;
  } catch (cause) {
    throw new ProvisiondError('COMMAND_FAILED', `reading what qemu-img says of ${what}: ${json.slice(0, 300)}`, {
      cause,
    });
  }
  const backingFile = said['backing-filename'] ?? null;
  return {
    image: said.filename,
    format: said.format,
    virtualSizeBytes: said['virtual-size'],
    virtualSizeMiB: toMiB(said['virtual-size']),
    diskSizeBytes: said['actual-size'],
    diskSizeMiB: toMiB(said['actual-size']),
    clusterSizeBytes: said['cluster-size'] ?? null,
    backingFile,
    backingFileActualPath: said['full-backing-filename'] ?? backingFile,
    backingFormat: said['backing-filename-format'] ?? null,
    snapshots: (said.snapshots ?? []).map((snapshot) => ({
      id: snapshot.id,
      tag: snapshot.name,
      date: new Date(snapshot['date-sec'] * 1000).toISOString().slice(0, 19).replace('T', ' '),
      vmSizeBytes: snapshot['vm-state-size'],
      vmClock: clock(snapshot['vm-clock-sec'], snapshot['vm-clock-nsec']),
    })),
  };
}

/** Whole MiB, so that what is there fits. */
function toMiB(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}

function clock(seconds: number, nanoseconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const milliseconds = String(Math.floor(nanoseconds / 1e6)).padStart(3, '0');
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}.${milliseconds}`;
}
