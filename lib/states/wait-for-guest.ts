import { findError, ProvisiondError } from '../errors';
import type { GuestDiagnosis } from '../libvirt/provisioner';
import type { Job } from './job';

/** A guest whose domain stopped will not answer any more: look every few seconds. */
const LOOK_AT_DOMAIN_MS = 5000;

/**
 * Waits until the guest lets us in, and records its host key.
 * @throws GUEST_NO_ANSWER saying which of domain, DHCP lease, ping, port and log-in was reached, with the console's
 *   last lines
 */
export async function waitForGuest(job: Job): Promise<void> {
  const hopeless = new AbortController();
  const signal = AbortSignal.any([job.signal, hopeless.signal]);
  const look = setInterval(() => void abortWhenOff(job, hopeless), LOOK_AT_DOMAIN_MS);
  try {
    const hostKey = await job.guest.waitUntilAnswering(job.config.guestBootTimeoutMs, signal);
    await job.store.setGuestKey(job.claim, job.reservation.computer.id, hostKey);
  } catch (error) {
    if (job.signal.aborted) throw error;
    if (!hopeless.signal.aborted && !findError(error, 'GUEST_NO_ANSWER')) throw error;
    throw await explainSilence(job, error);
  } finally {
    clearInterval(look);
  }
}

async function abortWhenOff(job: Job, hopeless: AbortController): Promise<void> {
  // A host that cannot be asked says nothing about the guest.
  const power = await job.provisioner.powerStatus().catch(() => 'on' as const);
  if (power === 'off' || power === 'crashed' || power === null) {
    hopeless.abort(new Error(`its domain is ${power ?? 'gone'}`));
  }
}

async function explainSilence(job: Job, cause: unknown): Promise<ProvisiondError> {
  const { computer, host } = job.reservation;
  const reached = findError(cause, 'GUEST_NO_ANSWER')?.details['reached'];
  const diagnosis = await job.provisioner.diagnoseGuest().catch(() => null);
  const address = computer.privateIp ?? computer.hostname;
  const facts = diagnosis ? describe(diagnosis, reached) : 'its host could not be asked why';
  return new ProvisiondError(
    'GUEST_NO_ANSWER',
    `guest ${computer.shortName} on ${host!.shortName} did not answer by ssh at ${address}: ${facts}`,
    { cause, details: { reached, ...diagnosis } },
  );
}

/** One sentence: how far it came, the first thing that is missing last, then the console. */
function describe(diagnosis: GuestDiagnosis, reached: unknown): string {
  const facts = [
    `domain ${diagnosis.domainState}`,
    diagnosis.dhcpLease ? `DHCP lease ${diagnosis.dhcpLease}` : 'no DHCP lease',
    diagnosis.answersPing ? 'answers ping' : 'no answer to ping',
    diagnosis.sshPortOpen ? 'ssh port open' : 'ssh port closed',
    ...(reached === 'login' ? ['log-in not accepted in time'] : []),
  ];
  const console = diagnosis.consoleTail.trim();
  return console === '' ? `${facts.join(', ')}; console empty` : `${facts.join(', ')}; console:\n${console}`;
}
