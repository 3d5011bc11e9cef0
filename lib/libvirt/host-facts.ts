/** What drivers may ask of a host. Asked once a host, for as long as we keep its connection. */
import type { Host } from '../host/host';
import type { HostFactsForDriver, XmlNode } from '../plugins/api';
import { bootsGuest, hasKvmDevice } from './kvm-probe';
import { virshError } from './virsh';
import { childrenOf, firstOf, parseXml, textOf } from '../xml';

const knownFacts = new WeakMap<Host, Promise<HostFactsForDriver>>();

/** @throws LIBVIRT_FAILED and errors of the host; a failure is not remembered */
export function hostFacts(host: Host): Promise<HostFactsForDriver> {
  const known = knownFacts.get(host) ?? readHostFacts(host);
  knownFacts.set(host, known);
  known.catch(() => forgetHostFacts(host));
  return known;
}

/** Asks again next time: something was installed, or no driver fitted. */
export function forgetHostFacts(host: Host): void {
  knownFacts.delete(host);
}

async function readHostFacts(host: Host): Promise<HostFactsForDriver> {
  const result = await host.run(['virsh', '-q', 'capabilities'], { expect: 'any' });
  if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', `asking libvirt of host ${host.name}`, result);
  const { capabilities = {} } = parseXml(result.stdout, `the capabilities of host ${host.name}`);
  const architecture = textOf(capabilities, 'host', 'cpu', 'arch') ?? '';
  const offers = childrenOf(capabilities, 'guest')
    .flatMap((guest) => childrenOf(guest, 'arch'))
    .filter((arch) => arch.$?.name === architecture);
  let kvm: Promise<boolean> | undefined;
  return {
    host,
    capabilities,
    domainTypes: [...new Set(offers.flatMap(domainTypesOf))],
    kvmWorks: () => {
      kvm ??= probeKvm(host, architecture, offers);
      kvm.catch(() => (kvm = undefined));
      return kvm;
    },
  };
}

function domainTypesOf(arch: XmlNode): string[] {
  return childrenOf(arch, 'domain').flatMap((domain) => (domain.$?.type === undefined ? [] : [domain.$.type]));
}

async function probeKvm(host: Host, architecture: string, offers: readonly XmlNode[]): Promise<boolean> {
  const offer = offers.find((arch) => domainTypesOf(arch).includes('kvm'));
  if (!offer) return false;
  if (architecture !== 'x86_64') return hasKvmDevice(host);
  const ofKvm = childrenOf(offer, 'domain').find((domain) => domain.$?.type === 'kvm');
  return bootsGuest(host, textOf(ofKvm, 'emulator') ?? textOf(firstOf(offer, 'emulator')) ?? null);
}
