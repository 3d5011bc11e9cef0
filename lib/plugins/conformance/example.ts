/** The reservation that plugins are tried with: nothing of it exists. */
import type { DomainIdentity } from '../../model/identity';
import type { Reservation } from '../../model/reservation';
import type { PluginLogger } from '../api';

export const EXAMPLE_IDENTITY: DomainIdentity = {
  managementNodeId: 1,
  computerId: 5,
  computerName: 'vm1',
  requestId: 7,
  reservationId: 7,
  imageId: 12,
  imageRevisionId: 34,
  imageName: 'vmwarelinux-Example12-v2',
  loadId: 'example',
};

export const SECRET = 'Secret-0neTime';

export const EXAMPLE_RESERVATION: Reservation = {
  id: 7,
  request: {
    ...{ id: 7, state: 'new', lastState: 'new', logId: 3, forImaging: false, checkUser: true, preload: false },
    ...{ start: '2026-01-05 10:00:00', end: '2026-01-05 12:00:00', durationMinutes: 120 },
    ...{ secondsToStart: -60, secondsToEnd: 7200 },
  },
  image: {
    ...{ id: 12, revisionId: 34, revision: 2, name: 'vmwarelinux-Example12-v2', prettyName: 'Example' },
    ...{ ownerId: 1, minRamMiB: 512, minCpus: 1, project: 'vcl', architecture: 'x86_64', reloadMinutes: 10 },
    ...{ checkUser: true, rootAccess: true, setHostname: true, revisionCreated: '2026-01-01 09:00:00', deleted: false },
    os: {
      ...{ id: 36, name: 'vmwarelinux', type: 'linux', installType: 'vmware', minRamMiB: 512 },
      modulePackage: 'VCL::Module::OS::Linux',
    },
  },
  computer: {
    ...{ id: 5, state: 'available', hostname: 'vm1.example.org', shortName: 'vm1', type: 'virtualmachine' },
    ...{ privateIp: '192.0.2.11', publicIp: '198.51.100.11', guestKey: null },
    ...{ privateMac: '52:54:00:00:00:01', publicMac: '52:54:00:00:00:02' },
    ...{ currentImageId: 1, currentRevisionId: 1, nextImageId: 1 },
    provisioningPackage: 'VCL::Module::Provisioning::libvirt',
    predictivePackage: 'VCL::Module::Predictive::Level_1',
    behindNat: false,
  },
  host: {
    ...{ computerId: 3, hostname: 'host1.example.org', shortName: 'host1', address: '192.0.2.3' },
    profile: {
      ...{ id: 2, name: 'example', datastorePath: '/srv/images', vmPath: '/srv/vms', repositoryPath: null },
      ...{ datastoreFormat: 'qcow2', repositoryFormat: 'qcow2', privateNetwork: 'private', publicNetwork: 'public' },
      ...{ generatePrivateMac: false, generatePublicMac: false },
    },
    connection: { transport: 'ssh', port: 22, user: 'root', hostKey: null, driver: null, maxLoads: null },
  },
  managementNode: {
    ...{ id: 1, hostname: 'node.example.org', shortName: 'node', keyFiles: [] },
    ...{ publicIpConfiguration: 'dynamicDHCP', publicNetmask: null, publicGateway: null, publicDnsServers: [] },
    federatedAffiliations: [],
  },
  user: { id: 1, login: 'alice', uid: 1501, email: 'alice@example.org', affiliation: 'Local', sshPublicKeys: [] },
  password: SECRET,
  remoteIp: '203.0.113.7',
  connectMethods: [
    {
      ...{ id: 1, name: 'ssh', serviceName: 'ext_sshd', startupScript: null },
      ports: [{ id: 1, port: 22, protocol: 'TCP' }],
    },
  ],
  boot: null,
  volumes: [],
  server: null,
  reservationCount: 1,
  isParent: true,
};

export const SILENT: PluginLogger = { debug() {}, info() {}, warn() {}, error() {} };
