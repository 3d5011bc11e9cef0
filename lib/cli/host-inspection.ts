/** One script that tells what a VM host has to offer. It changes nothing. */
import type { Host } from '../host/host';
import { script } from '../host/host';
import { SECTION, drawMark, splitSections } from '../libvirt/sections';
import { parseNames } from '../libvirt/virsh';

export interface FolderSight {
  readonly path: string;
  readonly isThere: boolean;
  readonly isWritable: boolean;
  /** Null where even the file system is not there. */
  readonly freeMiB: number | null;
}

export interface HostSight {
  /** Null: there is no virsh. */
  readonly virshVersion: string | null;
  /** Why libvirt did not answer; null when it did. */
  readonly libvirtFault: string | null;
  readonly networks: readonly string[];
  readonly activeNetworks: readonly string[];
  readonly bridges: readonly string[];
  readonly hasQemuImg: boolean;
  readonly folders: readonly FolderSight[];
}

/** Folders: `path|there|writable|free KiB`. A folder that is missing is judged by the nearest one above it. */
const INSPECT = `
mark=$1; shift
${SECTION}
section version; virsh --version 2>/dev/null
section fault; virsh -q list --name 2>&1 >/dev/null
section networks; virsh -q net-list --all --name 2>/dev/null
section active; virsh -q net-list --name 2>/dev/null
section bridges
for bridge in /sys/class/net/*/bridge; do
  [ ! -d "$bridge" ] || { bridge=\${bridge%/bridge}; printf '%s\\n' "\${bridge##*/}"; }
done
section tools
command -v qemu-img >/dev/null && echo qemu-img
for folder; do
  section "folder $folder"
  above=$folder
  while [ ! -d "$above" ]; do above=$(dirname "$above"); done
  [ ! -d "$folder" ] || echo there
  [ ! -w "$above" ] || echo writable
  df -Pk "$above" 2>/dev/null | awk 'END { print "free", $4 }'
done
exit 0
`;

/** @param folders absolute paths on the host */
export async function inspectHost(host: Host, folders: readonly string[]): Promise<HostSight> {
  const mark = drawMark();
  const { stdout } = await host.run(script(INSPECT, mark, ...folders));
  const sections = splitSections(stdout, mark);
  const names = (section: string) => parseNames(sections.get(section) ?? []);
  return {
    virshVersion: names('version')[0] ?? null,
    libvirtFault:
      names('fault')
        .join(' ')
        .replace(/^error: /, '') || null,
    networks: names('networks'),
    activeNetworks: names('active'),
    bridges: names('bridges'),
    hasQemuImg: names('tools').includes('qemu-img'),
    folders: folders.map((path) => folderSight(path, names(`folder ${path}`))),
  };
}

function folderSight(path: string, lines: readonly string[]): FolderSight {
  const free = lines.find((line) => line.startsWith('free '));
  const freeKiB = Number(free?.slice('free '.length));
  return {
    path,
    isThere: lines.includes('there'),
    isWritable: lines.includes('writable'),
    freeMiB: Number.isFinite(freeKiB) ? Math.floor(freeKiB / 1024) : null,
  };
}
