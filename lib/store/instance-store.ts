/** Virtual appliances and instances, in words of the domain. */
import type { Appliance, Consistency, Instance, InstanceFile } from '../model/instance';
import type { HostFacts } from '../model/reservation';
import type { Lease } from './store';

/** An image that is about to be one. */
export interface NewInstance {
  readonly imageName: string;
  readonly prettyName: string;
  /** What its VM stood on. */
  readonly sourceRevisionId: number;
  readonly computerId: number;
  readonly hostId: number;
  readonly consistency: Consistency;
  readonly moment: string;
  readonly files: readonly InstanceFile[];
}

/** Who would miss a revision of an image, beside what stands on its files. */
export interface RevisionUses {
  /** Requests that are not over. */
  readonly requests: number;
  /** Computers that are loaded with it: their short names. */
  readonly computers: readonly string[];
  /** Instances that are its slaves: their pretty names. */
  readonly instances: readonly string[];
}

export interface InstanceStore {
  /** Null: there is no appliance of that name. */
  appliance(name: string): Promise<Appliance | null>;
  /** @param uuid of the domain that is off on fresh disks; null: it is deployed again @throws LEASE_LOST */
  setUndeployed(lease: Lease, computerId: number, uuid: string | null): Promise<void>;
  /**
   * All of an operation in one transaction; registered already: nothing is done.
   * @throws CONFLICT when there is an image of one of the names, LEASE_LOST
   */
  registerInstances(lease: Lease, operationId: number, instances: readonly NewInstance[]): Promise<void>;
  /** Those that are not deleted, the oldest first. */
  instances(): Promise<Instance[]>;
  revisionUses(imageRevisionId: number): Promise<RevisionUses>;
  /** Marks image and revision deleted; its files are another matter. @throws LEASE_LOST */
  deleteRevision(lease: Lease, imageRevisionId: number): Promise<void>;
  /**
   * A copy of the image's rows under another name, a master of its own; there already: nothing is done.
   * @throws CONFLICT when another image has the name, LEASE_LOST
   */
  registerMaster(lease: Lease, fromRevisionId: number, image: { imageName: string; prettyName: string }): Promise<void>;
  /** A row of the history: what an operation on several VMs has done with one of them. Noted already: the same again. @returns its id */
  noteChildOperation(lease: Lease, parent: { id: number }, computerId: number, kind: string): Promise<number>;
  forgetChildOperation(lease: Lease, id: number): Promise<void>;
  /** A VM host by its computer; null: it is none any more. */
  vmHost(computerId: number): Promise<HostFacts | null>;
}

/** A member of an appliance, for people. */
export interface ApplianceVm {
  readonly computer: string;
  readonly deployed: boolean;
  readonly powerState: string;
  /** What it is made of; null: nothing is loaded. */
  readonly image: string | null;
}

export interface ApplianceDetails {
  readonly name: string;
  readonly created: string | null;
  readonly vms: readonly ApplianceVm[];
}

/** What the command line enters and shows. */
export interface ApplianceFrontEnd {
  /** @throws CONFLICT when there is one */
  createAppliance(name: string): Promise<void>;
  /** Together with its members' membership; the VMs stay. @throws NOT_FOUND, OTHER_OPERATION_IN_PROGRESS */
  deleteAppliance(name: string): Promise<void>;
  /** @throws NOT_FOUND, CONFLICT when a VM is in another one, OTHER_OPERATION_IN_PROGRESS */
  addToAppliance(name: string, computers: readonly string[]): Promise<void>;
  /** @throws NOT_FOUND, also for a VM that is not in it; OTHER_OPERATION_IN_PROGRESS */
  removeFromAppliance(name: string, computers: readonly string[]): Promise<void>;
  listAppliances(): Promise<ApplianceDetails[]>;
  /** @throws NOT_FOUND */
  showAppliance(name: string): Promise<ApplianceDetails>;
  listInstances(): Promise<(Instance & { readonly master: string | null })[]>;
  /** Of the rows of the instance alone. @throws NOT_FOUND, CONFLICT for a name that is taken */
  editInstance(name: string, edit: InstanceEdit): Promise<void>;
}

export interface InstanceEdit {
  readonly prettyName?: string;
  readonly description?: string;
  readonly ramMiB?: number;
  readonly cpus?: number;
}
