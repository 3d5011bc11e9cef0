/**
 * Instances: images that were made of the machines of a virtual appliance, each under the image that its machine was made from
 * (Abiquo: "instances of running appliances"). The image is the master (M), the instance its slave (S).
 */
import type { DiskFile, VolumeType } from './volume';

/** A named set of VMs. */
export interface Appliance {
  readonly id: number;
  readonly name: string;
  /** In the order of their names. */
  readonly members: readonly ApplianceMember[];
}

export interface ApplianceMember {
  readonly computerId: number;
  readonly shortName: string;
  /** UUID of the domain that was undeployed: it is off, on fresh disks. Null: deployed. */
  readonly undeployed: string | null;
}

/** Why nobody starts the VM by itself. */
export const whyUndeployed = (appliance: string): string =>
  `it is an undeployed VM of appliance ${appliance}; provisiond appliance deploy ${appliance} starts it`;

/** More would not fit into the journal of one operation. */
export const MOST_MEMBERS = 20;

/** What a copy is worth: the guest had written all to its disks; it is as after a power cut; it was off. */
export type Consistency = 'fs-consistent' | 'crash-consistent' | 'offline';

/** A file of an instance; the first is that of the image, the others are copies of data volumes. */
export interface InstanceFile extends DiskFile {
  readonly volume: string;
  readonly type: VolumeType;
  readonly sizeBytes: number;
  readonly virtualSizeBytes: number;
  readonly sha256: string;
}

export interface Instance {
  readonly imageId: number;
  readonly imageRevisionId: number;
  /** Of its files. */
  readonly imageName: string;
  readonly prettyName: string;
  /** Revision of the image that it is a slave of; null: that one is gone. */
  readonly masterRevisionId: number | null;
  /** What its VM stood on when it was made: the master, or an earlier instance of it. */
  readonly sourceRevisionId: number;
  readonly operationId: number;
  /** The VM that it was made of. */
  readonly computerId: number;
  readonly computer: string;
  /** `computer.id` of the VM host that has its files. */
  readonly hostId: number;
  readonly consistency: Consistency;
  /** When its content was what it is, ISO 8601 in UTC. */
  readonly moment: string;
  readonly files: readonly InstanceFile[];
}

/** `image.name` and `image.prettyname` of VCL; file systems: 255 bytes. */
const LONGEST_NAME = 70;
const LONGEST_PRETTY_NAME = 80;
const UUID = /-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * `<original>-<uuid>`. An original that is an instance itself counts by its master's name; one that is too long is cut, in whole
 * characters, before the UUID.
 * @param longestBytes of the whole name
 */
export function instanceName(original: string, uuid: string, longestBytes: number): string {
  const room = longestBytes - uuid.length - 1;
  let name = '';
  let bytes = 0;
  for (const character of original.replace(UUID, '')) {
    bytes += Buffer.byteLength(character);
    if (bytes > room) break;
    name += character;
  }
  return `${name}-${uuid}`;
}

export function instanceNames({ imageName, prettyName }: Pick<Instance, 'imageName' | 'prettyName'>, uuid: string) {
  return {
    imageName: instanceName(imageName, uuid, LONGEST_NAME),
    prettyName: instanceName(prettyName, uuid, LONGEST_PRETTY_NAME),
  };
}

/** The appliance that the arguments of an operation name. @returns null for what is no JSON, or names none */
export function applianceOf(json: string | null): string | null {
  try {
    const { appliance } = (JSON.parse(json ?? '{}') ?? {}) as { appliance?: unknown };
    return typeof appliance === 'string' ? appliance : null;
  } catch {
    return null;
  }
}
