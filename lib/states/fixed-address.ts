/** The fixed public address of a server request (`server_request_set_fixed_ip` of VCL's OS modules). */
import { ProvisiondError } from '../errors';
import type { Job, JobStep } from './job';

export const setFixedAddress: JobStep = {
  name: 'set the fixed address',
  story: { after: 'staticIPaddress' },
  done: (job) => !job.reservation.server?.fixedIp,
  run: configureAddress,
};

/** Again after a reboot too: not every guest keeps it. @throws ADDRESS_TAKEN, REQUEST_INVALID when the OS module cannot set one */
export async function configureAddress(job: Job): Promise<void> {
  const { claim, reservation, store } = job;
  const { computer, server, managementNode } = reservation;
  const address = await store.fixedAddress(server!);
  if (!address) return;
  const holder = await store.addressHolder(computer.id, address.ip);
  if (holder !== null) {
    throw new ProvisiondError('ADDRESS_TAKEN', `computer ${holder} has the fixed address ${address.ip} already`, {
      blame: 'request',
    });
  }
  await job.guest.setFixedAddress(address);
  // The column is the admin's where the site gives its addresses by hand; elsewhere the next load finds the new one.
  if (managementNode.publicIpConfiguration === 'static') await store.keepOriginalAddress(claim, reservation);
  await store.setPublicIp(claim, reservation, address.ip);
}
