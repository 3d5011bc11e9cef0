/** A job's way into its guest: the connection, and the OS module's stages on it. */
import { privateKeyFiles } from '../config/credentials';
import type { Config } from '../config/config';
import { ProvisiondError } from '../errors';
import { asGuest } from '../host/guest';
import { pause } from '../host/deadline';
import type { GuestConnector, GuestSession, GuestTarget } from '../host/guest-session';
import type { Log } from '../log';
import type { FixedAddress, Reservation } from '../model/reservation';
import type { ClusterMember, GuestAccount, GuestStatus, OsContext, OsModule, SiteScript } from '../plugins/api';

/** How long a guest that is said to run gets for its first answer outside of a load. */
const ANSWER_TIMEOUT_MS = 5000;
/** One that has answered after this job's load is there, and only slow; the user's may have been shut down by him. */
const SLOW_ANSWER_TIMEOUT_MS = 60_000;
const LOOK_FOR_BOOT_MS = 500;

type Stage = Exclude<keyof OsModule, 'apiVersion' | 'name' | 'description' | 'loginUser' | 'shell'>;

export class GuestAccess {
  /** After the load of this job. */
  private hasAnswered = false;

  constructor(
    private readonly reservation: Reservation,
    private readonly osModule: () => OsModule,
    private readonly connector: GuestConnector,
    private readonly config: Config,
    private readonly log: Log,
    private readonly signal: AbortSignal,
    /** Set once a load recorded a new key: the frozen reservation has the one from before. */
    private hostKey: string | null = reservation.computer.guestKey,
  ) {}

  /** The key of the guest, or of the one before it, is written down. */
  get isKnown(): boolean {
    return this.hostKey !== null;
  }

  /** @returns the host key that the guest showed */
  async waitUntilAnswering(timeoutMs: number, signal: AbortSignal): Promise<string> {
    this.hostKey = null;
    const session = await this.connector.waitFor(this.target(), { timeoutMs, signal });
    this.hostKey = session.hostKey;
    this.hasAnswered = true;
    return session.hostKey;
  }

  /** What `currentimage.txt` says, or null when nobody answers within a few seconds. */
  async statusIfAnswering(): Promise<GuestStatus | null> {
    let session: GuestSession;
    try {
      session = await this.connect();
    } catch (error) {
      if (this.signal.aborted) throw error;
      this.log.info('the guest does not answer', { error });
      return null;
    }
    return (await this.call('status', session)) ?? { imageRevisionId: null, postLoadDone: false, tainted: false };
  }

  async postLoad(): Promise<void> {
    await this.call('postLoad');
  }

  async reserve(accounts: readonly GuestAccount[]): Promise<{ publicIp?: string }> {
    return (await this.call('reserve', undefined, { accounts })) ?? {};
  }

  async grantAccess(remoteIp: string): Promise<void> {
    await this.call('grantAccess', undefined, { remoteIp });
  }

  /** @param userData what the maker of a server request left for it */
  async postReserve(userData: string | null): Promise<void> {
    await this.call('postReserve', undefined, { userData });
  }

  /** Tells the guest its siblings. A module without that stage has none to tell. */
  async updateCluster(members: readonly ClusterMember[]): Promise<void> {
    await this.call('updateCluster', undefined, { members });
  }

  /** @throws REQUEST_INVALID when the OS module cannot */
  async setFixedAddress(address: FixedAddress): Promise<void> {
    const module = this.osModule();
    if (!module.setFixedAddress) {
      throw new ProvisiondError('REQUEST_INVALID', `OS module '${module.name}' cannot set a fixed address`);
    }
    await this.call('setFixedAddress', undefined, { address });
  }

  /** @param imageName what the guest becomes */
  async preCapture(imageName: string): Promise<void> {
    await this.call('preCapture', undefined, { imageName });
  }

  /** Asks it to go down; it answers first. @returns false when its OS module cannot ask */
  async shutdown(): Promise<boolean> {
    if (!this.osModule().shutdown) return false;
    await this.call('shutdown');
    return true;
  }

  async reboot(): Promise<void> {
    await this.call('reboot');
  }

  /**
   * Waits for another boot than that one to answer.
   * @param bootId null: any answer will do
   * @returns whether it came in time
   */
  async waitForBoot(bootId: string | null, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline) {
      await this.forget();
      const status = await this.statusIfAnswering();
      if (status && (bootId === null || status.bootId !== bootId)) return true;
      await pause(LOOK_FOR_BOOT_MS, this.signal);
    }
    return false;
  }

  /** @returns the address a user was seen from */
  async connectedFrom(remoteIp: string, ignoredAddresses: readonly string[] = []): Promise<string | null> {
    const seen = await this.call('isUserConnected', undefined, { remoteIp, ignoredAddresses });
    return seen?.remoteIp ?? null;
  }

  async postInitialConnection(remoteIp: string): Promise<void> {
    await this.call('postInitialConnection', undefined, { remoteIp });
  }

  async sanitize(accounts: readonly GuestAccount[]): Promise<void> {
    await this.call('sanitize', undefined, { accounts });
  }

  /** Shows a line to the user who works in the guest. */
  async notifyUser(message: string): Promise<void> {
    await this.call('notifyUser', undefined, { message });
  }

  async runScript(script: SiteScript): Promise<void> {
    await this.call('runScript', undefined, { script });
  }

  async postReservation(): Promise<void> {
    await this.call('postReservation');
  }

  /** Drops the connection: the machine behind the address is about to change. */
  async forget(): Promise<void> {
    const { privateIp } = this.reservation.computer;
    if (privateIp) await this.connector.forget(privateIp);
  }

  private connect(): Promise<GuestSession> {
    const slowMs = Math.min(SLOW_ANSWER_TIMEOUT_MS, this.config.guestBootTimeoutMs);
    const timeoutMs = this.hasAnswered ? Math.max(ANSWER_TIMEOUT_MS, slowMs) : ANSWER_TIMEOUT_MS;
    return this.connector.waitFor(this.target(), { timeoutMs, signal: this.signal });
  }

  /** Calls one stage; a stage that the module does not have is nothing to do. */
  private async call<S extends Stage>(stage: S, open?: GuestSession, more: object = {}): Promise<StageAnswer<S>> {
    const module = this.osModule();
    const hook = module[stage];
    if (!hook) return undefined as StageAnswer<S>;
    const session = open ?? (await this.connect());
    const { reservation, log, signal } = this;
    const context: OsContext = { reservation, guest: asGuest(session, log, { shell: module.shell }), log, signal };
    return (hook as (context: object) => Promise<StageAnswer<S>>).call(module, { ...context, ...more });
  }

  private target(): GuestTarget {
    const { computer, managementNode } = this.reservation;
    if (!computer.privateIp) {
      throw new ProvisiondError('REQUEST_INVALID', `computer ${computer.shortName} has no private address`, {
        blame: 'config',
        hint: "Set the computer's privateIPaddress: it is where provisiond reaches the guest",
      });
    }
    return {
      name: computer.shortName,
      address: computer.privateIp,
      port: 22,
      user: this.osModule().loginUser ?? 'root',
      keyFiles: privateKeyFiles(managementNode.keyFiles, this.config.sshKeyFiles),
      hostKey: this.hostKey,
    };
  }
}

type StageAnswer<S extends Stage> = Awaited<ReturnType<NonNullable<OsModule[S]>>> | undefined;
