/** Which machine a capture takes, and which of its disks: the computer's own, or none. */
import path from 'node:path';
import { ProvisiondError } from '../errors';
import { claimedFormat } from '../images/image-header';
import { readVolumeId } from '../model/volume';
import type { HostedComputer } from './hosted-computer';
import type { HostLook, SeenDomain } from './look';
import { isDiskOf } from './ownership';

export interface CapturedMachine {
  readonly domain: SeenDomain;
  readonly disk: { readonly path: string; readonly format: string };
  /** Disks that do not become part of the image. */
  readonly otherDisks: readonly string[];
}

/**
 * The computer's domain, whatever image it was loaded with: the reservation names the image that is to be. VCL compares
 * MACs of guest and domains and demands one match; ours say in their metadata whose they are.
 * @throws DOMAIN_NOT_FOUND; CONFLICT, with the choices, when it is not clear which domain or disk is meant
 */
export function findMachine(computer: HostedComputer, look: HostLook): CapturedMachine {
  const own = look.domains.filter((domain) => domain.own);
  const active = own.filter(({ state }) => state !== 'shut off');
  const candidates = active.length > 0 ? active : own;
  const [domain] = candidates;
  const where = `computer ${computer.names.shortName} on host ${computer.host.name}`;
  if (!domain) throw new ProvisiondError('DOMAIN_NOT_FOUND', `${where} has no domain that could be captured`);
  if (candidates.length > 1)
    throw unclear(
      `${where} has several domains`,
      candidates.map(({ name }) => name),
    );
  if (!domain.persistent) {
    const hint = 'Define it: virsh dumpxml DOMAIN > FILE; virsh define FILE';
    const message = `domain ${domain.name} of ${where} is transient: it would be gone when it is shut down`;
    throw new ProvisiondError('CONFLICT', message, { blame: 'computer', hint });
  }
  return { domain, ...chooseDisk(computer, domain) };
}

/** An image is one file. Which disk it is is told by its name and folder, never by its place in the list. */
function chooseDisk(computer: HostedComputer, { name, disks }: SeenDomain): Omit<CapturedMachine, 'domain'> {
  const folder = path.posix.join(computer.profile.vmPath, '.').replace(/\/$/, '');
  const own = disks.filter(
    (file) => path.posix.dirname(path.posix.normalize(file)) === folder && isSystem(computer.names.shortName, file),
  );
  if (own.length !== 1) {
    throw unclear(`domain ${name} has ${own.length} disks in ${folder} that are its computer's, not one`, disks);
  }
  const [disk] = own;
  return { disk: { path: disk!, format: claimedFormat(disk!) }, otherDisks: disks.filter((file) => file !== disk) };
}

/** Temporary volumes do not become part of an image. */
function isSystem(shortName: string, file: string): boolean {
  const id = readVolumeId(shortName, file);
  return id === null ? isDiskOf(shortName, file) : id.type === 'system';
}

function unclear(what: string, choices: readonly string[]): ProvisiondError {
  const list = choices.length > 0 ? choices.join(', ') : 'none';
  return new ProvisiondError('CONFLICT', `${what}: ${list}`, {
    blame: 'computer',
    hint: 'Leave the one that is to be captured: virsh undefine, virsh detach-disk --config',
    details: { choices },
  });
}
