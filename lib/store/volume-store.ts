/** What VMs are made of, in words of the domain: volumes as they were seen last, changes that can be undone, images by name. */
import type { Volume } from '../model/volume';
import type { Lease } from './store';

export interface SizedVolume extends Volume {
  readonly sizeBytes: number;
}

/** A change whose old files are kept. */
export interface Trash {
  readonly operationId: number;
  readonly computerId: number;
  readonly folder: string;
  /** JSON of the change; written by us. */
  readonly plan: string;
  /** `kept`, or in somebody's hands. */
  readonly state: 'kept' | 'taken' | 'purging';
  readonly created: string;
  /** Negative: its time is over. */
  readonly secondsLeft: number;
}

/** A change whose old files are to be kept, for so many days. */
export interface NewTrash extends Pick<Trash, 'operationId' | 'computerId' | 'folder' | 'plan'> {
  readonly days: number;
}

/** A revision of an image, as it may be asked for. */
export interface RevisionFacts {
  readonly imageId: number;
  readonly imageRevisionId: number;
  /** Of its files. */
  readonly imageName: string;
  readonly prettyName: string;
  readonly production: boolean;
  readonly deleted: boolean;
  readonly architecture: string;
}

export interface VolumeStore {
  /** All volumes that the VM's domain has. A data volume that is not among them any more is kept as one without a domain. */
  writeVolumes(
    lease: Lease,
    computerId: number,
    volumes: readonly SizedVolume[],
    /** Files that were taken away on purpose: nothing is known of them any more. */
    gone?: readonly string[],
  ): Promise<void>;
  /** As they were seen last, in the order of their targets; then the data volumes that no domain has. */
  volumesOf(computerId: number): Promise<(SizedVolume & { readonly attached: boolean })[]>;
  /** `computer.currentimageid`, `imagerevisionid`; image 0: VCL's `noimage`. */
  setLoadedImage(lease: Lease, computerId: number, image: { imageId: number; imageRevisionId: number }): Promise<void>;
  /** Revisions by the name of their files, or the production one by the image's pretty name; the deleted ones too. */
  revisionsNamed(name: string): Promise<RevisionFacts[]>;
  /** @returns null: the row is gone */
  revision(imageRevisionId: number): Promise<RevisionFacts | null>;

  /** Written again it is the same. @returns until when, zone-less local time of the database */
  keepTrash(lease: Lease, trash: NewTrash): Promise<string>;
  /** @param computerId null: of all VMs @returns the newest first */
  listTrash(computerId: number | null): Promise<Trash[]>;
  /** Takes it into one's hands, so that nobody purges it, or (`purging`) brings it back. @returns whether it was there */
  takeTrash(lease: Lease, operationId: number, state: 'taken' | 'purging'): Promise<boolean>;
  /** Gives it back: it was not brought back after all. */
  releaseTrash(lease: Lease, operationId: number): Promise<void>;
  forgetTrash(lease: Lease, operationId: number): Promise<void>;
  /** Of this node, whose time is over, or whose purge was begun. */
  expiredTrash(lease: Lease): Promise<Trash[]>;
}
