/**
 * The host's part of a load, in the order of the seed's `load`: remove existing domains → default XML →
 * `extend_domain_xml` → `pre_define` → XML file → define → power on. Waiting for the guest and `post_load` follow in
 * lib/states.
 *
 * Why a crash between any two is harmless: what says that the load is beyond a point is the domain itself, with our
 * metadata and the id of this load. As long as it is not defined, disk and XML file are made anew, whatever stands there
 * under their names: a disk that no domain of this load uses holds nobody's work, or a former user's.
 */
import type { Log } from '../log';
import type { Step } from '../steps/step';
import type { LibvirtProvisioner } from './libvirt-provisioner';

export interface LoadContext {
  readonly provisioner: LibvirtProvisioner;
  readonly signal: AbortSignal;
  readonly log: Log;
}

export const loadSteps: readonly Step<LoadContext>[] = [
  {
    name: 'choose the hypervisor driver',
    story: { before: 'startload' },
    run: ({ provisioner }) => provisioner.load.checkHost(),
  },
  {
    name: 'remove existing domains',
    done: ({ provisioner }) => provisioner.load.isAlone(),
    run: ({ provisioner }) => provisioner.load.removeExistingDomains(),
  },
  {
    name: 'build the domain XML',
    done: ({ provisioner }) => provisioner.load.isDefined(),
    run: ({ provisioner }) => provisioner.load.buildDomainXml(),
  },
  {
    name: 'extend the domain XML',
    done: ({ provisioner }) => provisioner.load.isDefined(),
    run: ({ provisioner, signal }) => provisioner.load.extendDomainXml(signal),
  },
  {
    name: 'make the disks',
    story: { after: 'transfervm' },
    done: ({ provisioner }) => provisioner.load.hasDisk(),
    run: ({ provisioner, signal }) => provisioner.load.makeDisks(signal),
    undo: ({ provisioner }) => provisioner.load.removeFiles(),
  },
  {
    name: 'reserve the address',
    done: ({ provisioner }) => provisioner.load.hasAddress(),
    run: ({ provisioner }) => provisioner.load.reserveAddress(),
    undo: ({ provisioner }) => provisioner.load.releaseAddress(),
  },
  {
    name: 'write the domain XML file',
    done: ({ provisioner }) => provisioner.load.isDefined(),
    run: ({ provisioner }) => provisioner.load.writeXmlFile(),
    undo: ({ provisioner }) => provisioner.load.removeFiles(),
  },
  {
    name: 'define the domain',
    story: { after: 'vmsetupconfig' },
    done: ({ provisioner }) => provisioner.load.isDefined(),
    run: ({ provisioner }) => provisioner.load.defineDomain(),
    undo: ({ provisioner }) => provisioner.load.undefineDomain(),
  },
  {
    name: 'power on the domain',
    story: { after: 'startvm' },
    done: ({ provisioner }) => provisioner.load.isRunning(),
    run: ({ provisioner, signal }) => provisioner.load.powerOn(signal),
    undo: ({ provisioner }) => provisioner.load.powerOff(),
  },
];
