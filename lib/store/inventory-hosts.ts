/** A VM host: a computer that others run on, with a profile of its own and the way to reach it. */
import { isIPv4 } from 'node:net';
import { ProvisiondError } from '../errors';
import { STATE_IDS } from '../model/states';
import type { Queryable } from './database';
import type { NewHost } from './front-end';
import { PREDICTIVE_MODULES, PROVISIONING, joinGroups, requireFit } from './inventory-rows';

/** Id of `imagetype` qcow2. */
const QCOW2 = 7;

/** @returns the id of the host's own computer @throws REQUEST_INVALID, CONFLICT when a VM has that name */
export async function putHost(tx: Queryable, host: NewHost): Promise<number> {
  checkLengths(host);
  const computerId = await putOwnComputer(tx, host);
  const profileId = await putProfile(tx, host);
  const known = await tx.one<{ id: number }>('select id from vmhost where computerid = ? order by id', [computerId]);
  if (known) await tx.change('update vmhost set vmprofileid = ? where id = ?', [profileId, known.id]);
  else await tx.insert('vmhost', { computerid: computerId, vmprofileid: profileId });
  await joinGroups(tx, 'computer', computerId, ['allComputers']);
  await putConnection(tx, computerId, host);
  return computerId;
}

function checkLengths(host: NewHost): void {
  requireFit('the name of the host', host.name, 36);
  requireFit('the image folder', host.datastorePath, 128);
  requireFit('the disk folder', host.vmPath ?? '', 128);
  requireFit('the repository', host.repositoryPath ?? '', 128);
  requireFit('the private network', host.privateNetwork, 80);
  requireFit('the public network', host.publicNetwork, 80);
}

async function putOwnComputer(tx: Queryable, host: NewHost): Promise<number> {
  const known = await tx.one<{ id: number; type: string }>(
    'select id, type from computer where hostname = ? and deleted = 0',
    [host.name],
  );
  if (known?.type === 'virtualmachine') {
    throw new ProvisiondError('CONFLICT', `'${host.name}' is a virtual machine, not a host`);
  }
  // The column holds an address only; a name is looked up by the host's own name.
  const address = isIPv4(host.address) ? host.address : null;
  if (address === null && host.address !== host.name) {
    throw new ProvisiondError('REQUEST_INVALID', `the address '${host.address}' is no IPv4 address`);
  }
  if (known) {
    await tx.change(
      `update computer set stateid = ${STATE_IDS.vmhostinuse}, RAM = ?, procnumber = ?, IPaddress = ?,
         privateIPaddress = ? where id = ?`,
      [host.ramMiB, host.cpus, address ?? '', address, known.id],
    );
    return known.id;
  }
  return tx.insert('computer', {
    stateid: STATE_IDS.vmhostinuse,
    ownerid: 1,
    platformid: 1,
    scheduleid: 1,
    RAM: host.ramMiB,
    procnumber: host.cpus,
    procspeed: 2000,
    network: 1000,
    hostname: host.name,
    IPaddress: address ?? '',
    privateIPaddress: address,
    type: 'blade',
    provisioningid: PROVISIONING.none,
    location: '',
    predictivemoduleid: PREDICTIVE_MODULES.reload,
  });
}

async function putProfile(tx: Queryable, host: NewHost): Promise<number> {
  const facts = {
    imageid: 1,
    repositorypath: host.repositoryPath,
    repositoryimagetypeid: QCOW2,
    datastorepath: host.datastorePath,
    datastoreimagetypeid: QCOW2,
    vmpath: host.vmPath,
    virtualswitch0: host.privateNetwork,
    virtualswitch1: host.publicNetwork,
  };
  const known = await tx.one<{ id: number }>('select id from vmprofile where profilename = ?', [host.name]);
  if (!known) return tx.insert('vmprofile', { profilename: host.name, ...facts });
  const assignments = Object.keys(facts).map((column) => `\`${column}\` = ?`);
  await tx.change(`update vmprofile set ${assignments.join(', ')} where id = ?`, [...Object.values(facts), known.id]);
  return known.id;
}

async function putConnection(tx: Queryable, computerId: number, host: NewHost): Promise<void> {
  const columns = ['transport', 'port', 'user', 'hostkey', 'driver', 'maxloads'];
  await tx.change(
    `insert into provisiond_host (computerid, ${columns.map((column) => `\`${column}\``).join(', ')})
     values (?, ?, ?, ?, ?, ?, ?) ${tx.dialect.overwrite(['computerid'], columns)}`,
    [computerId, host.transport, host.port, host.user, host.hostKey, host.driver, host.maxLoads],
  );
}
