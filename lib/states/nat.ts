/** Computers behind a NAT host: its ports are reserved before the user is told, lead to the guest once he may come, and end with the reservation. */
import type { Host } from '../host/host';
import { closePorts, forwardPorts } from '../host/port-forwarding';
import type { NatHost } from '../model/reservation';
import { variableFor } from '../model/timings';
import type { Job, JobStep } from './job';

/** VCL's own default. */
const DEFAULT_RANGES = '49152-65535';

const isDirect = (job: Job): boolean => !job.reservation.computer.behindNat;

export const reserveNatPorts: JobStep = {
  name: 'reserve the ports of the NAT host',
  done: isDirect,
  run: async (job) => void (await withNat(job, (nat) => reserve(job, nat))),
};

export const forwardNatPorts: JobStep = {
  name: 'forward the ports of the NAT host',
  done: isDirect,
  run: (job) =>
    withNat(job, async (nat, host) => {
      const { reservation, signal, store } = job;
      const forwards = await reserve(job, nat);
      const guestIp = reservation.computer.publicIp;
      await forwardPorts(host, reservation.id, { publicIp: nat.publicIp, guestIp, forwards }, signal);
      await store.noteNatForwards(reservation, nat, forwards);
    }),
  undo: close,
};

/** Also for a reservation that came to no forwarding: nothing there is success. */
export const closeNatPorts: JobStep = { name: 'close the ports of the NAT host', done: isDirect, run: close };

function close(job: Job): Promise<void> {
  return withNat(job, (_nat, host) => closePorts(host, job.reservation.id, job.signal));
}

function reserve({ claim, reservation, store, variables }: Job, nat: NatHost) {
  const ranges = variableFor(variables, 'natport_ranges', reservation.user.affiliation) ?? DEFAULT_RANGES;
  return store.reserveNatPorts(claim, reservation, nat, ranges);
}

/** An admin may have unmapped the computer meanwhile. */
async function withNat<T>(job: Job, work: (nat: NatHost, host: Host) => Promise<T>): Promise<T | void> {
  const nat = await job.store.natHost(job.reservation);
  if (nat !== null) return work(nat, job.natHost(nat));
}
