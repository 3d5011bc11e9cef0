/** Which networks of its host a guest is connected to: interface 0 is private, interface 1 public, as VCL orders them. */
import { ProvisiondError } from '../errors';
import { generatedMac } from '../model/names';
import type { DomainInterface } from './domain-xml';
import type { HostLook } from './look';
import type { HostedComputer } from './hosted-computer';

type Source = Pick<DomainInterface, 'type' | 'source'>;

/**
 * The networks of the VM profile on this host, and for images of a project those of the project.
 * @throws NETWORK_NOT_FOUND (lists what there is), NETWORK_INACTIVE
 */
export function resolveNetworks(computer: HostedComputer, look: HostLook): Source[] {
  const { profile, reservation } = computer;
  const privateNetwork = resolveNetwork(computer, look, profile.privateNetwork);
  const publicNetwork = resolveNetwork(computer, look, profile.publicNetwork);
  const ofProject = projectNetworks(reservation.image.project, look, [profile.privateNetwork, profile.publicNetwork]);
  if (ofProject.length === 0 || reservation.image.project === 'vcl') return [privateNetwork, publicNetwork];
  const extra = ofProject.map((source): Source => ({ type: 'network', source }));
  if (reservation.image.project.includes('vcl')) return [privateNetwork, publicNetwork, ...extra];
  return [privateNetwork, ...extra];
}

function resolveNetwork(computer: HostedComputer, look: HostLook, name: string): Source {
  const network = look.networks.find((candidate) => candidate.name === name);
  if (network?.active) return { type: 'network', source: name };
  const host = computer.host.name;
  if (network) {
    throw new ProvisiondError('NETWORK_INACTIVE', `network ${name} of host ${host} is not started`, {
      hint: `Start it: virsh net-start ${name}; virsh net-autostart ${name}`,
    });
  }
  if (look.bridges.includes(name)) return { type: 'bridge', source: name };
  const there = [...look.networks.map((candidate) => candidate.name), ...look.bridges].join(', ') || 'none at all';
  throw new ProvisiondError(
    'NETWORK_NOT_FOUND',
    `host ${host} has neither a libvirt network nor a bridge named ${name}; there are: ${there}`,
  );
}

/** Active networks whose names contain the project's, or are contained in it. */
function projectNetworks(project: string, look: HostLook, except: readonly string[]): string[] {
  if (project === '') return [];
  return look.networks
    .filter(
      ({ name, active }) => active && !except.includes(name) && (name.includes(project) || project.includes(name)),
    )
    .map(({ name }) => name);
}

/** The interfaces of the guest, each with a MAC that is the same at each load. */
export function guestInterfaces(computer: HostedComputer, look: HostLook, model: string): DomainInterface[] {
  const { managementNodeId, computerId } = computer.owner;
  return resolveNetworks(computer, look).map((source, index) => {
    const macs = [computer.privateMac, computer.publicMac];
    return { ...source, mac: macs[index] ?? generatedMac(managementNodeId, computerId, index), model };
  });
}
