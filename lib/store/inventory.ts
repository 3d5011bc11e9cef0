/** What an admin enters in VCL's front end: management nodes, users, hosts, computers, images. */
import { isIPv4 } from 'node:net';
import { ProvisiondError } from '../errors';
import { generatedMac } from '../model/names';
import { STATE_IDS } from '../model/states';
import type { Database, Queryable } from './database';
import { isDuplicate } from './database-errors';
import type { FrontEnd, NewComputer, NewImage } from './front-end';
import { putHost } from './inventory-hosts';
import { PREDICTIVE_MODULES, PROVISIONING, findHost, joinGroups, requireFit } from './inventory-rows';

type InventoryVerbs = Pick<FrontEnd, 'ensureManagementNode' | 'ensureUser' | 'putHost' | 'putComputer' | 'addImage'>;

export function inventoryVerbs(db: Database): InventoryVerbs {
  return {
    ensureManagementNode: (hostname, address, keyFiles) =>
      db.transaction((tx) => ensureManagementNode(tx, hostname, address, keyFiles)),
    ensureUser: (login) => db.transaction((tx) => ensureUser(tx, login)),
    putHost: (host) => db.transaction((tx) => putHost(tx, host)),
    putComputer: (computer, managementNodeId) => db.transaction((tx) => putComputer(tx, computer, managementNodeId)),
    addImage: (image) => db.transaction((tx) => addImage(tx, image)),
  };
}

async function ensureManagementNode(tx: Queryable, hostname: string, address: string, keyFiles: readonly string[]) {
  requireFit('the name of the management node', hostname, 50);
  const keys = keyFiles.join(',');
  requireFit('the list of key files', keys, 1024);
  const known = await tx.one<{ id: number }>('select id from managementnode where hostname = ?', [hostname]);
  if (known) return known.id;
  const { now } = (await tx.one<{ now: string }>(`select ${tx.dialect.now} as now`))!;
  const id = await tx.insert('managementnode', {
    IPaddress: isIPv4(address) ? address : '',
    hostname,
    stateid: STATE_IDS.available,
    lastcheckin: now,
    checkininterval: 5,
    keys,
    availablenetworks: '',
  });
  await joinGroups(tx, 'managementnode', id, ['allManagementNodes']);
  return id;
}

async function ensureUser(tx: Queryable, login: string): Promise<number> {
  requireFit('the name of the user', login, 80);
  if (login === '') throw new ProvisiondError('REQUEST_INVALID', 'a user without a name cannot be made');
  const known = await tx.one<{ id: number }>('select id from user where unityid = ? and affiliationid = 1', [login]);
  if (known) return known.id;
  const { now } = (await tx.one<{ now: string }>(`select ${tx.dialect.now} as now`))!;
  return tx.insert('user', { unityid: login, affiliationid: 1, email: '', emailnotices: 0, lastupdated: now });
}

async function putComputer(tx: Queryable, wanted: NewComputer, managementNodeId: number): Promise<number> {
  requireFit('the name of the computer', wanted.name, 36);
  for (const address of [wanted.privateIp, ...(wanted.publicIp === null ? [] : [wanted.publicIp])]) {
    if (!isIPv4(address)) throw new ProvisiondError('REQUEST_INVALID', `'${address}' is no IPv4 address`);
  }
  const host = await findHost(tx, wanted.host);
  const facts = {
    vmhostid: host.vmHostId,
    RAM: wanted.ramMiB,
    procnumber: wanted.cpus,
    IPaddress: wanted.publicIp ?? wanted.privateIp,
    privateIPaddress: wanted.privateIp,
    predictivemoduleid: PREDICTIVE_MODULES[wanted.afterwards],
  };
  const known = await tx.one<{ id: number; type: string }>(
    'select id, type from computer where hostname = ? and deleted = 0',
    [wanted.name],
  );
  if (known && known.type !== 'virtualmachine') {
    throw new ProvisiondError('CONFLICT', `'${wanted.name}' is a ${known.type}, not a virtual machine`);
  }
  const id = known ? known.id : await insertComputer(tx, wanted.name, facts);
  if (known) await update(tx, 'computer', id, facts);
  const macs = {
    eth0macaddress: wanted.privateMac ?? generatedMac(managementNodeId, id, 0),
    eth1macaddress: wanted.publicMac ?? generatedMac(managementNodeId, id, 1),
  };
  await update(tx, 'computer', id, macs).catch((error: unknown) => {
    if (!isDuplicate(error)) throw error;
    const message = `another computer has the MAC ${macs.eth0macaddress} or ${macs.eth1macaddress} already`;
    throw new ProvisiondError('CONFLICT', message, { cause: error });
  });
  await joinGroups(tx, 'computer', id, ['allComputers', 'All VM Computers']);
  return id;
}

const insertComputer = (tx: Queryable, hostname: string, facts: Record<string, string | number>): Promise<number> =>
  tx.insert('computer', {
    stateid: STATE_IDS.available,
    ownerid: 1,
    platformid: 1,
    scheduleid: 1,
    procspeed: 2000,
    network: 1000,
    hostname,
    type: 'virtualmachine',
    provisioningid: PROVISIONING.libvirt,
    location: '',
    ...facts,
  });

async function update(tx: Queryable, table: string, id: number, values: Record<string, string | number>) {
  const assignments = Object.keys(values).map((column) => `\`${column}\` = ?`);
  await tx.change(`update \`${table}\` set ${assignments.join(', ')} where id = ?`, [...Object.values(values), id]);
}

/** As the front end names them: `<OS>-<pretty name, word characters only><image id>-v<revision>`. */
async function addImage(tx: Queryable, wanted: NewImage) {
  requireFit('the name of the image', wanted.prettyName, 60);
  const os = await tx.one<{ id: number }>('select id from OS where name = ?', [wanted.os]);
  if (!os) throw new ProvisiondError('NOT_FOUND', `there is no OS '${wanted.os}'`);
  const owner = await tx.one<{ id: number }>('select id from user where unityid = ? order by affiliationid', [
    wanted.owner,
  ]);
  if (!owner) throw new ProvisiondError('NOT_FOUND', `there is no user '${wanted.owner}'`);
  const namesake = await tx.one('select id from image where prettyname = ?', [wanted.prettyName]);
  if (namesake) throw new ProvisiondError('CONFLICT', `there is an image '${wanted.prettyName}' already`);
  const { now } = (await tx.one<{ now: string }>(`select ${tx.dialect.now} as now`))!;
  const imageId = await insertImage(tx, wanted, os.id, owner.id, now);
  const fileName = `${wanted.os}-${wanted.prettyName.replace(/\W/g, '').slice(0, 40)}${imageId}-v0`;
  await tx.change('update image set name = ? where id = ?', [fileName, imageId]);
  const revisionId = await tx.insert('imagerevision', {
    imageid: imageId,
    revision: 0,
    userid: owner.id,
    datecreated: now,
    deleted: 0,
    production: 1,
    comments: '',
    imagename: fileName,
  });
  await joinGroups(tx, 'image', imageId, ['allImages', 'allVMimages']);
  return { imageId, revisionId, fileName };
}

/** Its real name needs its id; the one it has until then is nobody else's. */
const insertImage = (tx: Queryable, wanted: NewImage, OSid: number, ownerid: number, now: string): Promise<number> =>
  tx.insert('image', {
    name: `new ${wanted.prettyName}`,
    prettyname: wanted.prettyName,
    ownerid,
    imagetypeid: 7,
    platformid: 1,
    OSid,
    minram: wanted.ramMiB,
    minprocnumber: wanted.cpus,
    minprocspeed: 500,
    minnetwork: 100,
    reloadtime: 10,
    lastupdate: now,
    size: wanted.sizeMiB,
    architecture: 'x86_64',
    description: '',
    usage: '',
  });
