/**
 * A reservation as it was when its request was taken up: read once, whole, and frozen.
 * Whatever follows is a function of this value; what may change meanwhile (state, end, acknowledgement)
 * is in {@link RequestRow} and is watched.
 */
import type { BootParameters } from './boot';
import type { StateName, WorkableState } from './states';
import type { WantedVolume } from './volume';

export interface Reservation {
  readonly id: number;
  readonly request: RequestFacts;
  readonly image: ImageFacts;
  readonly computer: ComputerFacts;
  /** The VM host of the computer; null when the computer is assigned to none. */
  readonly host: HostFacts | null;
  readonly managementNode: ManagementNodeFacts;
  /** How its guest is to boot, where anybody said so: of the computer, else of the image, else of the VM profile. */
  readonly boot: BootParameters | null;
  /** What its VM is to have beside its system volume. */
  readonly volumes: readonly WantedVolume[];
  /** Who asked for it. */
  readonly user: UserFacts;
  /** `reservation.pw`: the one-time password of the user, null until one was made. */
  readonly password: string | null;
  readonly remoteIp: string | null;
  readonly connectMethods: readonly ConnectMethod[];
  /** Present for VCL's server requests. */
  readonly server: ServerFacts | null;
  /** How many reservations the request has: 1, or more for a cluster. */
  readonly reservationCount: number;
  /** Has the lowest id of the request's reservations: speaks for all of them. */
  readonly isParent: boolean;
}

export interface RequestFacts {
  readonly id: number;
  /** The state in which the request was taken up (it is `pending` while in hand). */
  readonly state: WorkableState;
  readonly lastState: StateName;
  /** `log.id`; null for reloads and maintenance, which nobody reserved. */
  readonly logId: number | null;
  readonly forImaging: boolean;
  /** Whether an absent user ends the reservation: `request.checkuser`. */
  readonly checkUser: boolean;
  readonly preload: boolean;
  /** When it was read, by the database's clock; negative: it has begun. */
  readonly secondsToStart: number;
  /** Zone-less local times as the database holds them, `YYYY-MM-DD HH:MM:SS`. */
  readonly start: string;
  readonly end: string;
  readonly durationMinutes: number;
  /** By the database's clock when it was read; negative when past. */
  readonly secondsToEnd: number;
}

export interface ImageFacts {
  readonly id: number;
  readonly revisionId: number;
  readonly revision: number;
  /** `imagerevision.imagename`: the base name of its files. */
  readonly name: string;
  readonly prettyName: string;
  readonly ownerId: number;
  readonly minRamMiB: number;
  readonly minCpus: number;
  readonly project: string;
  readonly architecture: string;
  readonly reloadMinutes: number;
  /** `imagemeta`: VCL's defaults where the image has no row. */
  readonly checkUser: boolean;
  readonly rootAccess: boolean;
  readonly setHostname: boolean;
  readonly revisionCreated: string;
  /** The image or its revision is marked deleted: what a capture that was not finished has for its target. */
  readonly deleted: boolean;
  readonly os: OsFacts;
}

export interface OsFacts {
  readonly id: number;
  /** `OS.name`, for example `vmwarelinux`. */
  readonly name: string;
  /** `OS.type`, for example `linux` or `windows`. */
  readonly type: string;
  readonly installType: string;
  readonly minRamMiB: number;
  /** `module.perlpackage` of the OS, for example `VCL::Module::OS::Linux`. */
  readonly modulePackage: string;
}

export interface ComputerFacts {
  readonly id: number;
  readonly state: StateName;
  /** Full name as in the database, and its first label. */
  readonly hostname: string;
  readonly shortName: string;
  readonly type: 'blade' | 'lab' | 'virtualmachine';
  /** The address on the management network: where provisiond reaches the guest by ssh. */
  readonly privateIp: string | null;
  /** The address shown to users. */
  readonly publicIp: string;
  readonly privateMac: string | null;
  readonly publicMac: string | null;
  /** The guest's ssh host key as recorded at its first answer after the last load, `SHA256:…`. */
  readonly guestKey: string | null;
  readonly currentImageId: number;
  readonly currentRevisionId: number;
  readonly nextImageId: number;
  /** `module.perlpackage` of its provisioning, for example `VCL::Module::Provisioning::libvirt`. */
  readonly provisioningPackage: string;
  /** `module.perlpackage` of its predictive module, for example `VCL::Module::Predictive::Level_1`. */
  readonly predictivePackage: string;
  /** Users reach it by ports of a NAT host (`nathostcomputermap`). */
  readonly behindNat: boolean;
}

export interface HostFacts {
  /** `computer.id` of the host itself. */
  readonly computerId: number;
  readonly hostname: string;
  readonly shortName: string;
  /** Where to reach it: `computer.privateIPaddress`, else its name. */
  readonly address: string;
  readonly profile: VmProfile;
  /** From `provisiond_host`; defaults where it has no row. */
  readonly connection: HostConnection;
}

/** What is needed to run commands on a machine. */
export type WayToHost = Omit<HostFacts, 'profile'>;

/** A host whose public ports lead to guests. */
export interface NatHost {
  readonly id: number;
  readonly resourceId: number;
  readonly publicIp: string;
  /** Null: this management node itself. */
  readonly way: WayToHost | null;
}

export interface NatForward {
  readonly publicPort: number;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
}

/** How to reach a VM host, beyond what VCL's tables say. */
export interface HostConnection {
  /** `ssh`, or `local` when the daemon runs on the host itself. */
  readonly transport: 'ssh' | 'local';
  readonly port: number;
  readonly user: string;
  /** Pinned host key: `SHA256:…` as ssh-keygen prints it. Null: not pinned yet. */
  readonly hostKey: string | null;
  /** Name of the driver to use without asking the others; null: probe. */
  readonly driver: string | null;
  /** How many loads may run at once on this host; null: the configured default. */
  readonly maxLoads: number | null;
}

export interface VmProfile {
  readonly id: number;
  readonly name: string;
  /** Folder of master images on the host. */
  readonly datastorePath: string;
  /** Folder of the copy-on-write disks on the host. VCL: `vmpath`, else the datastore path. */
  readonly vmPath: string;
  /** Repository as mounted on the host; null when the site has none. */
  readonly repositoryPath: string | null;
  /** Disk formats by VCL's `imagetype.name`, used as format and file extension: `qcow2`, `vmdk` … */
  readonly datastoreFormat: string;
  readonly repositoryFormat: string;
  /** `virtualswitch0` (private network) and `virtualswitch1` (public): a libvirt network or a bridge of the host. */
  readonly privateNetwork: string;
  readonly publicNetwork: string;
  /** Derive the MACs from ids instead of the computer's own columns. */
  readonly generatePrivateMac: boolean;
  readonly generatePublicMac: boolean;
}

export interface ManagementNodeFacts {
  readonly id: number;
  readonly hostname: string;
  readonly shortName: string;
  /** Private key files for hosts and guests, from `managementnode.keys`. */
  readonly keyFiles: readonly string[];
  readonly publicIpConfiguration: 'dynamicDHCP' | 'manualDHCP' | 'static';
  readonly publicNetmask: string | null;
  readonly publicGateway: string | null;
  readonly publicDnsServers: readonly string[];
  /** Affiliations whose users log in to guests with an account of their own (`NOT_STANDALONE`). */
  readonly federatedAffiliations: readonly string[];
}

export interface UserFacts {
  readonly id: number;
  /** `user.unityid` without any `@suffix`: the account name in the guest. */
  readonly login: string;
  readonly uid: number | null;
  readonly email: string;
  readonly affiliation: string;
  /** Lines for `authorized_keys`; empty unless the user switched public keys on. */
  readonly sshPublicKeys: readonly string[];
}

export interface ConnectMethod {
  readonly id: number;
  readonly name: string;
  readonly serviceName: string;
  readonly startupScript: string | null;
  readonly ports: readonly ConnectPort[];
}

export interface ConnectPort {
  readonly id: number;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
}

export interface ServerFacts {
  readonly id: number;
  readonly name: string;
  readonly fixedIp: string | null;
  readonly fixedMac: string | null;
  readonly adminGroupId: number | null;
  readonly loginGroupId: number | null;
}

/** Somebody who is to have an account in the guest of a server request, beside its owner. */
export interface GroupMember {
  readonly user: UserFacts;
  /** Of the admin group, so root when the image gives root at all. */
  readonly isAdmin: boolean;
  /** `reservationaccounts.password`: the account was made before; null: it is new. */
  readonly password: string | null;
}

/** Of VCL's variable `fixedIPsr<server request id>`. */
export interface FixedAddress {
  readonly ip: string;
  readonly netmask: string | null;
  readonly router: string | null;
  readonly dnsServers: readonly string[];
}

/** What of a request may change while it is in hand; read by the poller for all of them at once. */
export interface RequestRow {
  readonly requestId: number;
  readonly state: StateName;
  readonly lastState: StateName;
  /** Seconds by the database's clock; negative when past. */
  readonly secondsToEnd: number;
  /** `reservation.remoteIP` of the parent reservation: set when the user acknowledged. */
  readonly remoteIp: string | null;
  /** `request.checkuser`, which an admin may switch off while the user is waited for. */
  readonly checkUser: boolean;
}
