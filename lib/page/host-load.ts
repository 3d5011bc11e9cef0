/** How a VM host is loaded and what it can take: one short script, and the survey of its domains. It changes nothing. */
import { type Host, script } from '../host/host';
import { type HostSurvey, surveyHost } from '../libvirt/host-survey';
import type { HostFacts } from '../model/reservation';

export interface HostLook {
  readonly cpus: number;
  readonly loadAverage: number;
  readonly memoryMiB: number;
  readonly freeMemoryMiB: number;
  /** Of the file system of the disks; null: it could not be told. */
  readonly freeDiskMiB: number | null;
  readonly diskMiB: number | null;
  readonly domains: HostSurvey['domains'];
}

const LOAD = `
echo cpus $(getconf _NPROCESSORS_ONLN)
read -r load rest < /proc/loadavg; echo load $load
awk '$1 == "MemTotal:" { print "memory", $2 } $1 == "MemAvailable:" { print "free", $2 }' /proc/meminfo
df -Pk "$1" 2>/dev/null | awk 'END { print "disk", $2, $4 }'
`;

/** @throws LIBVIRT_FAILED, HOST_UNREACHABLE and other errors of the host */
export async function lookAtLoad(host: Host, { profile }: HostFacts, xmlDirectory: string): Promise<HostLook> {
  const places = { vmPath: profile.vmPath, xmlDirectory, privateNetwork: profile.privateNetwork };
  const [{ stdout }, { domains }] = await Promise.all([
    host.run(script(LOAD, profile.vmPath)),
    surveyHost(host, places),
  ]);
  const said = new Map(stdout.split('\n').map((line) => [line.split(' ')[0]!, line.split(' ').slice(1).map(Number)]));
  const first = (name: string) => said.get(name)?.[0] ?? 0;
  const [diskKiB, freeKiB] = said.get('disk') ?? [];
  return {
    cpus: first('cpus'),
    loadAverage: first('load'),
    memoryMiB: Math.round(first('memory') / 1024),
    freeMemoryMiB: Math.round(first('free') / 1024),
    diskMiB: diskKiB === undefined ? null : Math.round(diskKiB / 1024),
    freeDiskMiB: freeKiB === undefined ? null : Math.round(freeKiB / 1024),
    domains,
  };
}
