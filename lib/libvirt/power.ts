/** Power verbs, with VCL's tolerance: what is already on is on, what is already off is off. */
import { ProvisiondError } from '../errors';
import type { PowerStatus } from '../model/power';
import { DOMAIN_STATE } from './domain-state';
import type { HostedComputer } from './hosted-computer';
import type { DomainSight } from './provisioner';
import { virshError } from './virsh';
import { emptyVolumes, temporaryFiles, type VolumesWork } from './volume-files';

/** Runs, waiting for something to do or not: Xen calls an idle guest blocked. */
export function isUp({ state }: DomainSight): boolean {
  return state === 'running' || state === 'idle';
}

/** `power_status` of VCL's libvirt module, from virsh's word for the state. */
export function powerStatusOf({ state, hasManagedSave }: DomainSight): PowerStatus {
  switch (state) {
    case 'running':
    case 'in shutdown':
      return 'on';
    case 'idle':
      return 'blocked';
    case 'paused':
    case 'pmsuspended':
      return 'suspended';
    case 'crashed':
      return 'crashed';
    default:
      return hasManagedSave ? 'suspended' : 'off';
  }
}

/**
 * `$1` UUID. Starts a domain that is off, with autostart as VCL sets it; wakes one that is paused; a crashed one is
 * ended first. What counts is that it runs in the end. libxl says "shut off" before it is done, and then that the
 * domain is already active: that is tried again.
 */
const START = `
set -u
${DOMAIN_STATE}
fence
case $(domain_state "$1") in
running | idle | 'in shutdown') exit 0 ;;
paused) exec virsh -q resume "$1" ;;
pmsuspended) exec virsh -q dompmwakeup "$1" ;;
crashed) virsh -q destroy "$1" ;;
esac
for attempt in 1 2 3; do
  said=$(virsh -q "autostart $1; start $1" 2>&1 >/dev/null) && exit 0
  case $(domain_state "$1") in running | idle) exit 0 ;; esac
  case $said in *'already active'*) sleep 1 ;; *) break ;; esac
done
printf '%s\\n' "$said" >&2
exit 1
`;

const STOP = `
set -u
${DOMAIN_STATE}
fence
said=$(virsh -q destroy "$1" 2>&1) && exit 0
case $said in *'not running'*) exit 0 ;; esac
sleep 2
case $(domain_state "$1") in 'shut off') exit 0 ;; esac
virsh -q destroy "$1"
`;

/** One that starts cold finds its temporary volumes empty. @throws DOMAIN_START_FAILED, HOST_DISK_FULL */
export async function startDomain(computer: HostedComputer, domain: DomainSight): Promise<void> {
  // What is emptied is off: a crashed guest still has its disks open.
  if (domain.state === 'crashed') await stopDomain(computer, domain);
  await emptyTemporaries(computer, domain);
  await setPower(computer, domain, 'running', async () => {
    const doing = `starting domain ${domain.name} on host ${computer.host.name}`;
    const result = await computer.runScript(START, [domain.uuid], doing);
    if (result.exitCode === 0) return;
    throw virshError('DOMAIN_START_FAILED', doing, result);
  });
}

/** Most VMs have none, which what is known of the host tells; the script looks for itself whether the domain is off. */
async function emptyTemporaries(computer: HostedComputer, { uuid, name }: DomainSight): Promise<void> {
  const { host, names, profile } = computer;
  const seen = (await computer.view.current()).domains.find((domain) => domain.uuid === uuid);
  const unfinished = computer.unfinished('');
  const runScript: VolumesWork['runScript'] = (text, args, doing) => computer.runScript(text, args, doing);
  const work = { host, vmPath: profile.vmPath, shortName: names.shortName, unfinished, runScript };
  await emptyVolumes(work, { uuid, name }, temporaryFiles(names.shortName, seen?.disks ?? []));
}

/** Pulls the plug. @throws LIBVIRT_FAILED */
export async function stopDomain(computer: HostedComputer, domain: DomainSight): Promise<void> {
  await setPower(computer, domain, 'shut off', async () => {
    const doing = `stopping domain ${domain.name} on host ${computer.host.name}`;
    const result = await computer.runScript(STOP, [domain.uuid], doing);
    if (result.exitCode === 0) return;
    throw virshError('LIBVIRT_FAILED', doing, result);
  });
}

/**
 * Off and on again, as VCL does it: unlike `virsh reset` it takes a changed definition into account, helps where the
 * guest is paused or crashed, and works on every hypervisor.
 */
export async function resetDomain(computer: HostedComputer, domain: DomainSight): Promise<void> {
  // Off with its memory saved: a start alone would bring back what is to begin anew.
  if (domain.hasManagedSave && domain.state === 'shut off') await startDomain(computer, domain);
  await stopDomain(computer, domain);
  await startDomain(computer, { ...domain, state: 'shut off' });
}

async function setPower(computer: HostedComputer, { uuid }: DomainSight, state: string, work: () => Promise<void>) {
  await computer.view.change(work, (look) => ({
    ...look,
    files: [...new Set([...look.files, computer.names.consoleLog])],
    domains: look.domains.map((seen) => (seen.uuid === uuid ? { ...seen, state } : seen)),
  }));
}

/** The domain of a verb that needs one. @throws DOMAIN_NOT_FOUND */
export function requireDomain(computer: HostedComputer, domain: DomainSight | null): DomainSight {
  if (domain) return domain;
  const { shortName } = computer.names;
  throw new ProvisiondError('DOMAIN_NOT_FOUND', `computer ${shortName} has no domain on host ${computer.host.name}`);
}
