/** A job's way into its guest: the connection, and the OS module's stages on it. */
import type { Config } from '../config/config';
import { ProvisiondError } from '../errors';
import { asGuest } from '../host/guest';
import type { GuestConnector, GuestSession, GuestTarget } from '../host/guest-session';
import type { Log } from '../log';
import type { Reservation } from '../model/reservation';
import type { GuestAccount, GuestStatus, OsContext, OsModule } from '../plugins/api';

/** How long a guest that is said to run gets for its first answer outside of a load. */
const ANSWER_TIMEOUT_MS = 5000;
/** One that has answered is there, and only slow. */
const SLOW_ANSWER_TIMEOUT_MS = 60_000;

type Stage = Exclude<keyof OsModule, 'apiVersion' | 'name' | 'description' | 'loginUser'>;

export class GuestAccess {
  /** Since this job began. */
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

  async postReserve(): Promise<void> {
    await this.call('postReserve');
  }

  /** @returns the address a user was seen from */
  async connectedFrom(remoteIp: string): Promise<string | null> {
    const seen = await this.call('isUserConnected', undefined, { remoteIp });
    return seen?.remoteIp ?? null;
  }

  async postInitialConnection(remoteIp: string): Promise<void> {
    await this.call('postInitialConnection', undefined, { remoteIp });
  }

  async sanitize(accounts: readonly GuestAccount[]): Promise<void> {
    await this.call('sanitize', undefined, { accounts });
  }

  async postReservation(): Promise<void> {
    await this.call('postReservation');
  }

  /** Drops the connection: the machine behind the address is about to change. */
  async forget(): Promise<void> {
    await this.connector.forget(this.target().address);
  }

  private connect(): Promise<GuestSession> {
    const timeoutMs = this.hasAnswered ? SLOW_ANSWER_TIMEOUT_MS : ANSWER_TIMEOUT_MS;
    return this.connector.waitFor(this.target(), { timeoutMs, signal: this.signal });
  }

  /** Calls one stage; a stage that the module does not have is nothing to do. */
  private async call<S extends Stage>(stage: S, open?: GuestSession, more: object = {}): Promise<StageAnswer<S>> {
    const module = this.osModule();
    const hook = module[stage];
    if (!hook) return undefined as StageAnswer<S>;
    const session = open ?? (await this.connect());
    const { reservation, log, signal } = this;
    const context: OsContext = { reservation, guest: asGuest(session, log), log, signal };
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
      keyFiles: managementNode.keyFiles.length > 0 ? managementNode.keyFiles : this.config.sshKeyFiles,
      hostKey: this.hostKey,
    };
  }
}

type StageAnswer<S extends Stage> = Awaited<ReturnType<NonNullable<OsModule[S]>>> | undefined;
