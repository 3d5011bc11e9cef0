/**
 * The libvirt core as the state handlers see it: every subroutine of VCL's libvirt module that concerns one
 * reservation's computer, on the host that it is assigned to.
 */
import type { DiskInfo } from '../images/disk-info';
import type { DomainIdentity } from '../model/identity';
import type { ImagePartner } from '../model/image-library';
import type { NodeStatus, PowerStatus } from '../model/power';
import type { Reservation } from '../model/reservation';
import type { Volume } from '../model/volume';
import type { DomainXml, GuestStatus, HypervisorDriver } from '../plugins/api';

/** A domain as one look at the host saw it. */
export interface DomainSight {
  readonly name: string;
  readonly uuid: string;
  /** In virsh's word: `running`, `shut off`, `paused` … (lib/libvirt/domain-state.ts) */
  readonly state: string;
  readonly persistent: boolean;
  readonly hasManagedSave: boolean;
  /** Null: not ours. */
  readonly identity: DomainIdentity | null;
}

/** How far a guest that does not answer has come, as seen from its host. */
export interface GuestDiagnosis {
  readonly domainState: string;
  readonly dhcpLease: string | null;
  readonly answersPing: boolean;
  readonly sshPortOpen: boolean;
  readonly consoleTail: string;
}

export interface SnapshotInfo {
  readonly name: string;
  readonly createdAt: string;
  readonly state: string;
}

export interface ImageLibrary {
  readonly partners: readonly ImagePartner[];
  /** Where the ssh host keys of partners are kept, on this management node. */
  readonly knownHostsFile: string;
}

export interface Provisioner {
  readonly reservation: Reservation;
  readonly identity: DomainIdentity;
  /** `get_domain_name`: the name that a load of this reservation gives its domain. */
  readonly domainName: string;
  readonly overlayPath: string;
  readonly xmlPath: string;

  /** Chooses the driver: the pinned one, else the only one whose probe agrees. @throws DRIVER_NOT_FOUND, DRIVER_AMBIGUOUS */
  initialise(): Promise<HypervisorDriver>;
  /** The domains that belong to this computer (by metadata, or by exact name pattern for those that vcld left). */
  ownDomains(): Promise<readonly DomainSight[]>;
  /** The domain of this computer that runs or would run its image; null when there is none. */
  activeDomain(): Promise<DomainSight | null>;

  /** @param guest what the guest's `currentimage.txt` says; null when the guest does not answer */
  nodeStatus(guest: GuestStatus | null): Promise<NodeStatus>;
  powerStatus(): Promise<PowerStatus | null>;
  /**
   * Whether operations gave its domain another system volume than a load did: a clone's, for example, which says of itself all that
   * its base's guest did, and is nobody's fresh machine.
   */
  hasChangedDisks(): Promise<boolean>;
  powerOn(): Promise<void>;
  powerOff(): Promise<void>;
  powerReset(): Promise<void>;

  /** Removes the computer's domains, their disks, XML files and DHCP entry. Nothing there is success. */
  unload(): Promise<void>;
  /** VCL's last step of `tomaintenance` on the host: as unload. */
  postMaintenanceAction(): Promise<void>;

  /** In the datastore or in the repository; the paths found. */
  doesImageExist(imageName?: string): Promise<string[]>;
  getImageSizeMiB(imageName?: string): Promise<number | null>;
  getImageSizeBytes(imageName?: string): Promise<number | null>;
  /** `get_virtual_disk_size_bytes`: what a guest sees of the image; null when there is none. */
  getVirtualDiskSizeBytes(imageName?: string): Promise<number | null>;
  /** Of a disk on the host, also while a guest has it open. @param format as its extension says where left out */
  getVirtualDiskFileInfo(file: string, format?: string): Promise<DiskInfo>;
  /** Where the host has a repository, it must be there. @throws IMAGE_COPY_FAILED */
  requireRepository(): Promise<void>;
  /** `retrieve_image`: from another management node into the repository. @returns that node's name; null: none has it */
  retrieveImage(library: ImageLibrary): Promise<string | null>;

  /** The tree that a load would define, after the driver's `extendDomainXml`. */
  generateDomainXml(): Promise<DomainXml>;
  domainExists(name: string): Promise<boolean>;
  /** What the domain of this load is made of, with sizes in bytes; 0: not known. */
  loadedVolumes(): Promise<readonly (Volume & { readonly sizeBytes: number })[]>;
  getDomainXml(name: string): Promise<DomainXml>;
  /** All domains of the host: name → id (while active) and state. */
  getDomainInfo(): Promise<ReadonlyMap<string, { id?: number; state: string }>>;
  deleteDomain(name: string): Promise<void>;

  getSnapshotInfo(domain: string): Promise<SnapshotInfo[]>;
  createSnapshot(domain: string, description: string): Promise<string>;
  deleteSnapshot(domain: string, snapshot: string): Promise<void>;

  diagnoseGuest(): Promise<GuestDiagnosis>;
}
