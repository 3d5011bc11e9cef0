/** The configuration as the rest of the program sees it: complete, checked, frozen. */
export interface Config {
  /** `sqlite:/path/to/file` or `mysql://user:password@host:port/name`. */
  readonly database: string;
  /** This node's name in the `managementnode` table. */
  readonly managementNode: string;
  /** Where the embedded database, known keys and the like are kept. */
  readonly stateDir: string;
  readonly pluginDirs: readonly string[];
  readonly pollIntervalMs: number;
  /** How many reservations are loaded or reclaimed at once, on all hosts together and on each. */
  readonly maxLoads: number;
  readonly maxLoadsPerHost: number;
  readonly leaseSeconds: number;
  /** Folder on the hosts for domain XML files. VCL: `/tmp/vcl`. */
  readonly xmlDirectory: string;
  readonly sshKeyFiles: readonly string[];
  readonly sshConnectTimeoutMs: number;
  readonly sshMaxChannels: number;
  readonly commandTimeoutMs: number;
  /** Copies and conversions of images. */
  readonly imageTimeoutMs: number;
  /** What tells that a base image is still what it was recorded as, before each use. */
  readonly imageCheckAtUse: 'stamp' | 'checksum';
  readonly hookTimeoutMs: number;
  /** From start until the guest must answer by ssh. */
  readonly guestBootTimeoutMs: number;
  readonly guestCommandTimeoutMs: number;
  /** How long a guest may take to obey its power button. */
  readonly guestShutdownTimeoutMs: number;
  /** How often each host is asked for the power of its domains, beside what its libvirt tells as it happens. */
  readonly vmWatchIntervalMs: number;
  /** How long operations that are over, and the history of VMs, are kept. */
  readonly operationRetentionDays: number;
  /** How long a VM must have run on new disks before its old ones are put aside. */
  readonly startProofMs: number;
  /** How long what was replaced is kept, and can be brought back. */
  readonly trashDays: number;
  /** What the volumes of one VM may add up to; 0: no limit. */
  readonly volumeQuotaMiB: number;
  readonly retryAttempts: number;
  readonly retryDelayMs: number;
  readonly userPasswordLength: number;
  /** Where metrics and health are told, and where the page is: `127.0.0.1:9477` or a socket's path; null: nowhere. */
  readonly metrics: string | null;
  readonly http: string | null;
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly format: 'json' | 'human';
    readonly file: string | null;
  };
  /** The web front end's XML-RPC. */
  readonly xmlrpc: {
    /** Null: the front end is not called. */
    readonly url: string | null;
    readonly user: string;
    readonly password: string | null;
    readonly caFile: string | null;
    readonly timeoutMs: number;
  };
  readonly mail: {
    readonly transport: 'off' | 'sendmail' | 'smtp';
    readonly from: string | null;
    readonly returnPath: string | null;
    readonly sendmailPath: string;
    readonly smtpHost: string;
    readonly smtpPort: number;
    readonly smtpSecurity: 'starttls' | 'tls' | 'none';
    readonly smtpUser: string | null;
    readonly smtpPassword: string | null;
    readonly caFile: string | null;
    /** After how long a message that cannot be sent is given up. */
    readonly giveUpMs: number;
  };
  /** The site's own scripts at the stages of a reservation. */
  readonly scripts: {
    /** Folders with `STAGE/*` in them. */
    readonly onNode: readonly string[];
    readonly inGuest: readonly string[];
    readonly timeoutMs: number;
  };
  /** `perlpackage` of VCL's `module` table → name of our OS module. */
  readonly osModules: Readonly<Record<string, string>>;
  /** The same for predictive modules. */
  readonly predictiveModules: Readonly<Record<string, string>>;
}
