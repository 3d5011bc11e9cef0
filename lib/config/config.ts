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
  readonly hookTimeoutMs: number;
  /** From start until the guest must answer by ssh. */
  readonly guestBootTimeoutMs: number;
  readonly guestShutdownTimeoutMs: number;
  readonly guestCommandTimeoutMs: number;
  readonly retryAttempts: number;
  readonly retryDelayMs: number;
  readonly userPasswordLength: number;
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly format: 'json' | 'human';
    readonly file: string | null;
  };
  /** `perlpackage` of VCL's `module` table → name of our OS module. */
  readonly osModules: Readonly<Record<string, string>>;
}
