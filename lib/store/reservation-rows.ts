/** From the one joined row to the model's words. */
import { ProvisiondError } from '../errors';
import { readBootParameters } from './boot-verbs';
import { shortName } from '../model/names';
import type {
  ComputerFacts,
  ConnectMethod,
  HostFacts,
  ImageFacts,
  Reservation,
  ServerFacts,
  UserFacts,
} from '../model/reservation';
import { knownState } from './inbox-verbs';
import { toManagementNode } from './lease-verbs';
import type { Claim } from './store';

type Maybe<T> = T | null;

/** Columns by the aliases of reservationSql. */
export interface ReservationRow {
  reservationId: number;
  pw: Maybe<string>;
  remoteIP: Maybe<string>;
  managementnodeid: number;
  reservationCount: number;
  parentId: number;
  secondsToStart: Maybe<number>;
  requestId: number;
  logid: Maybe<number>;
  forimaging: number;
  checkuser: number;
  preload: number;
  start: string;
  end: string;
  secondsToEnd: Maybe<number>;
  imageId: number;
  imageOwnerId: Maybe<number>;
  prettyname: string;
  minram: number;
  minprocnumber: number;
  project: string;
  architecture: string;
  reloadtime: number;
  revisionId: number;
  revision: number;
  imagename: string;
  datecreated: string;
  imageDeleted: number;
  revisionDeleted: Maybe<number>;
  metaCheckUser: Maybe<number>;
  rootaccess: Maybe<number>;
  sethostname: Maybe<number>;
  osId: number;
  osName: string;
  osType: string;
  installtype: string;
  osMinRam: number;
  osPackage: Maybe<string>;
  computerId: number;
  computerStateId: number;
  hostname: string;
  computerType: ComputerFacts['type'];
  IPaddress: string;
  privateIPaddress: Maybe<string>;
  eth0macaddress: Maybe<string>;
  eth1macaddress: Maybe<string>;
  currentimageid: number;
  currentRevisionId: number;
  nextimageid: number;
  provisioningPackage: string;
  predictivePackage: string;
  guestKey: Maybe<string>;
  behindNat: number;
  /** JSON, see `rowsOfJson`. */
  connectMethods: unknown;
  hostComputerId: Maybe<number>;
  hostHostname: Maybe<string>;
  hostPrivateIp: Maybe<string>;
  profileId: Maybe<number>;
  profilename: string;
  datastorepath: string;
  vmpath: Maybe<string>;
  repositorypath: Maybe<string>;
  datastoreFormat: string;
  repositoryFormat: string;
  virtualswitch0: string;
  virtualswitch1: string;
  eth0generated: number;
  eth1generated: number;
  transport: Maybe<'ssh' | 'local'>;
  hostPort: Maybe<number>;
  hostUser: Maybe<string>;
  hostKey: Maybe<string>;
  driver: Maybe<string>;
  maxloads: Maybe<number>;
  boot: Maybe<string>;
  nodeId: number;
  nodeHostname: string;
  nodeKeys: Maybe<string>;
  publicIPconfiguration: 'dynamicDHCP' | 'manualDHCP' | 'static';
  publicSubnetMask: Maybe<string>;
  publicDefaultGateway: Maybe<string>;
  publicDNSserver: Maybe<string>;
  NOT_STANDALONE: Maybe<string>;
  userId: number;
  unityid: string;
  affiliation: Maybe<string>;
  uid: Maybe<number>;
  email: string;
  usepublickeys: number;
  sshpublickeys: Maybe<string>;
  serverId: Maybe<number>;
  serverName: string;
  fixedIP: Maybe<string>;
  fixedMAC: Maybe<string>;
  admingroupid: Maybe<number>;
  logingroupid: Maybe<number>;
}

/** @throws REQUEST_INVALID */
export function toReservation(
  row: ReservationRow,
  claim: Claim,
  connectMethods: ConnectMethod[],
): Omit<Reservation, 'volumes'> {
  return {
    id: row.reservationId,
    request: toRequest(row, claim),
    image: toImage(row),
    computer: toComputer(row),
    host: toHost(row),
    managementNode: toManagementNode({ ...row, id: row.nodeId, hostname: row.nodeHostname, keys: row.nodeKeys }),
    boot: row.boot === null ? null : readBootParameters(row.boot),
    user: toUser({ ...row, id: row.userId }),
    password: row.pw || null,
    remoteIp: row.remoteIP || null,
    connectMethods,
    server: row.serverId === null ? null : toServer({ ...row, serverId: row.serverId }),
    reservationCount: row.reservationCount,
    isParent: row.parentId === row.reservationId,
  };
}

/** What of a row concerns a person. */
export type UserRow = Pick<
  ReservationRow,
  'unityid' | 'uid' | 'email' | 'affiliation' | 'usepublickeys' | 'sshpublickeys'
> & {
  id: number;
};

export function toUser(row: UserRow): UserFacts {
  return {
    id: row.id,
    login: row.unityid.replace(/@.*$/s, ''),
    uid: row.uid,
    email: row.email,
    affiliation: row.affiliation ?? '',
    sshPublicKeys: row.usepublickeys ? splitLines(row.sshpublickeys) : [],
  };
}

const splitLines = (text: Maybe<string>): string[] =>
  (text ?? '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');

function toRequest(row: ReservationRow, claim: Claim): Reservation['request'] {
  const milliseconds = Date.parse(`${row.end.replace(' ', 'T')}Z`) - Date.parse(`${row.start.replace(' ', 'T')}Z`);
  return {
    id: row.requestId,
    state: claim.state,
    lastState: claim.lastState,
    logId: row.logid,
    forImaging: row.forimaging === 1,
    checkUser: row.checkuser === 1,
    preload: row.preload === 1,
    // VCL takes a zero date for "now".
    secondsToStart: row.secondsToStart ?? 0,
    start: row.start,
    end: row.end,
    secondsToEnd: row.secondsToEnd ?? 0,
    durationMinutes: Number.isNaN(milliseconds) ? 0 : Math.round(milliseconds / 60_000),
  };
}

function toImage(row: ReservationRow): ImageFacts {
  if (row.osPackage === null) {
    const message = `the OS '${row.osName}' of image '${row.imagename}' has no module`;
    throw new ProvisiondError('REQUEST_INVALID', message, { blame: 'config' });
  }
  return {
    id: row.imageId,
    revisionId: row.revisionId,
    revision: row.revision,
    name: row.imagename,
    prettyName: row.prettyname,
    ownerId: row.imageOwnerId ?? 1,
    minRamMiB: row.minram,
    minCpus: row.minprocnumber,
    project: row.project,
    architecture: row.architecture,
    reloadMinutes: row.reloadtime,
    checkUser: row.metaCheckUser !== 0,
    rootAccess: row.rootaccess !== 0,
    // VCL: hosts of Unix kind are named unless the image says no, Windows only when it says yes.
    setHostname: row.sethostname === null ? row.osType !== 'windows' : row.sethostname === 1,
    revisionCreated: row.datecreated,
    deleted: row.imageDeleted === 1 || row.revisionDeleted === 1,
    os: {
      id: row.osId,
      name: row.osName,
      type: row.osType,
      installType: row.installtype,
      minRamMiB: row.osMinRam,
      modulePackage: row.osPackage,
    },
  };
}

function toComputer(row: ReservationRow): ComputerFacts {
  return {
    id: row.computerId,
    state: knownState(row.computerStateId, `computer '${row.hostname}'`),
    hostname: row.hostname,
    shortName: shortName(row.hostname),
    type: row.computerType,
    privateIp: row.privateIPaddress || null,
    publicIp: row.IPaddress,
    privateMac: row.eth0macaddress || null,
    publicMac: row.eth1macaddress || null,
    guestKey: row.guestKey,
    currentImageId: row.currentimageid,
    currentRevisionId: row.currentRevisionId,
    nextImageId: row.nextimageid,
    provisioningPackage: row.provisioningPackage,
    predictivePackage: row.predictivePackage,
    behindNat: row.behindNat === 1,
  };
}

/** What of a row concerns the VM host. */
export type HostRow = Pick<
  ReservationRow,
  | 'hostComputerId'
  | 'hostHostname'
  | 'hostPrivateIp'
  | 'profileId'
  | 'profilename'
  | 'datastorepath'
  | 'vmpath'
  | 'repositorypath'
  | 'datastoreFormat'
  | 'repositoryFormat'
  | 'virtualswitch0'
  | 'virtualswitch1'
  | 'eth0generated'
  | 'eth1generated'
  | 'transport'
  | 'hostPort'
  | 'hostUser'
  | 'hostKey'
  | 'driver'
  | 'maxloads'
>;

/** @returns null for a computer that is assigned to no host */
export function toHost(row: HostRow): HostFacts | null {
  if (row.hostComputerId === null || row.hostHostname === null || row.profileId === null) return null;
  return {
    computerId: row.hostComputerId,
    hostname: row.hostHostname,
    shortName: shortName(row.hostHostname),
    address: row.hostPrivateIp || row.hostHostname,
    profile: {
      id: row.profileId,
      name: row.profilename,
      datastorePath: row.datastorepath,
      vmPath: row.vmpath || row.datastorepath,
      repositoryPath: row.repositorypath || null,
      datastoreFormat: row.datastoreFormat,
      repositoryFormat: row.repositoryFormat,
      privateNetwork: row.virtualswitch0,
      publicNetwork: row.virtualswitch1,
      generatePrivateMac: row.eth0generated === 1,
      generatePublicMac: row.eth1generated === 1,
    },
    connection: {
      transport: row.transport ?? 'ssh',
      port: row.hostPort ?? 22,
      user: row.hostUser ?? 'root',
      hostKey: row.hostKey,
      driver: row.driver,
      maxLoads: row.maxloads,
    },
  };
}

/** What of a row concerns a server request. */
export type ServerRow = Pick<
  ReservationRow,
  'serverName' | 'fixedIP' | 'fixedMAC' | 'admingroupid' | 'logingroupid'
> & {
  serverId: number;
};

export function toServer(row: ServerRow): ServerFacts {
  return {
    id: row.serverId,
    name: row.serverName,
    fixedIp: row.fixedIP || null,
    fixedMac: row.fixedMAC || null,
    adminGroupId: row.admingroupid,
    loginGroupId: row.logingroupid,
  };
}
