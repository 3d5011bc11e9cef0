/** What is known of the base images on the hosts, beside what the files say of themselves. */

/** A base image on a host, as it was when it was last found to be what it should be. */
export interface BaseFile {
  /** `computer.id` of the VM host. */
  readonly hostId: number;
  readonly path: string;
  /** `imagerevision.imagename`. */
  readonly imageName: string;
  readonly format: string;
  readonly virtualSizeBytes: number;
  readonly sizeBytes: number;
  /** Last change of its content, seconds since 1970 by the host's clock. */
  readonly modified: number;
  /** Null: it is being read, behind the load that copied it. */
  readonly sha256: string | null;
  /** Where it came from: `copied from /repository/x.qcow2` byte by byte, `converted from …`, `capture of …`, `found …` */
  readonly source: string;
}

/** With what became of it since; times are zone-less local ones of the database. */
export interface KnownBaseFile extends BaseFile {
  readonly recorded: string;
  /** When its checksum was last compared; null: not since it was recorded. */
  readonly checked: string | null;
  /** What a check found wrong with it; such a file is not used. */
  readonly damage: string | null;
}

/** The memory of base files. */
export interface BaseRecords {
  /** Also under the names of other hosts: on shared storage they have the same files. */
  findBaseFiles(imageName: string): Promise<KnownBaseFile[]>;
  listBaseFiles(): Promise<KnownBaseFile[]>;
  /** Overwrites what was known of that file. */
  recordBaseFile(file: BaseFile): Promise<void>;
  /** @param damage null: the checksum is the recorded one */
  noteBaseCheck(file: Pick<BaseFile, 'hostId' | 'path'>, damage: string | null): Promise<void>;
  forgetBaseFile(file: Pick<BaseFile, 'hostId' | 'path'>): Promise<void>;
}

/** What the rows say of a revision's image files. */
export interface ImageUse {
  readonly imageName: string;
  readonly prettyName: string;
  readonly production: boolean;
  /** The image or the revision is marked deleted. */
  readonly deleted: boolean;
  /** Requests that are not over and name it. */
  readonly requests: number;
  /** Computers that are loaded with it, or are to be. */
  readonly computers: number;
  /** Operations that are not over and name it. */
  readonly operations: number;
  /** Instances that are its slaves, and that are there. */
  readonly instances: number;
  /** It is an instance itself. */
  readonly isInstance: boolean;
}
