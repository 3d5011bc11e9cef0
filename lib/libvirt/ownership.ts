/**
 * Which domains and files belong to a computer. Our domains say so in their metadata; those that vcld left are known by
 * the exact shape of VCL's names and by the name of their disk. All others are wild: reported, never touched.
 */
import path from 'node:path';
import type { DomainIdentity } from '../model/identity';

export interface Owner {
  readonly managementNodeId: number;
  readonly computerId: number;
  readonly shortName: string;
}

export interface OwnableDomain {
  readonly name: string;
  readonly identity: DomainIdentity | null;
  /** Files of its disks. */
  readonly disks: readonly string[];
}

/**
 * Metadata decide where there are any. Without them the name must have one of VCL's shapes,
 * `<computer>_<pretty name>_<image>-v<revision>` and its fall-backs, or `<computer>:<image name>` of older vclds; and a
 * disk must be the computer's, because by its name alone `vm1_x_12-v0` could be of `vm1` and of `vm1_x`.
 */
export function ownsDomain(owner: Owner, domain: OwnableDomain): boolean {
  if (domain.identity !== null) {
    const { managementNodeId, computerId } = domain.identity;
    return managementNodeId === owner.managementNodeId && computerId === owner.computerId;
  }
  const shape = vclNameShape(owner, domain.name);
  if (shape === null) return false;
  if (domain.disks.length === 0) return shape === 'full';
  return domain.disks.some((disk) => isDiskOf(owner.shortName, disk));
}

/** `full`: only VCL gives such names; `bare`: the fall-back, just the computer's name or id. */
function vclNameShape(owner: Owner, name: string): 'full' | 'bare' | null {
  if (name === owner.shortName || name === String(owner.computerId)) return 'bare';
  const rest = [owner.shortName, String(owner.computerId)]
    .filter((prefix) => name.startsWith(prefix))
    .map((prefix) => name.slice(prefix.length));
  return rest.some((text) => /^(_([A-Za-z0-9]+_)?|:[A-Za-z0-9._-]*)\d+-v\d+$/.test(text)) ? 'full' : null;
}

/** A disk of a load of this computer by its name: `<computer>_<image>-v<revision>.<format>`. */
export function isDiskOf(shortName: string, file: string): boolean {
  const base = path.posix.basename(file);
  return base.startsWith(`${shortName}_`) && /^\d+-v\d+\./.test(base.slice(shortName.length + 1));
}

/** A domain XML file of this computer: `<computer>_<image>-v<revision>.xml`. */
export function isXmlFileOf(shortName: string, file: string): boolean {
  const base = path.posix.basename(file);
  return base.startsWith(`${shortName}_`) && /^\d+-v\d+\.xml$/.test(base.slice(shortName.length + 1));
}
