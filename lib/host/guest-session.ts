/** The port to guests: connections that survive from state to state, and the wait for a guest's first answer. */
import type { Host } from './host';

/** Where an ssh server is, and how it is held to be the right one. */
export interface SshTarget {
  /** Short name of the computer, for messages. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** Private keys, tried in this order; read at each connect, so that an exchanged key is used at once. */
  readonly keyFiles: readonly string[];
  /** The host key to hold it to, `SHA256:…` as ssh-keygen prints it; null: of a guest, accept and report the first. */
  readonly hostKey: string | null;
}

export type GuestTarget = SshTarget;

export interface GuestSession extends Host {
  readonly address: string;
  /** The key that the guest showed. */
  readonly hostKey: string;
}

export interface GuestConnector {
  /**
   * Tries (a fresh socket every few ms) until a log-in works.
   * @throws GUEST_NO_ANSWER with `details.reached`: `nothing`, `port` (open, but mute), `banner` (speaks ssh), `login`
   *   (asked for ours, not in time); GUEST_LOGIN_REFUSED (for some seconds on end); GUEST_KEY_CHANGED
   */
  waitFor(target: GuestTarget, options: { timeoutMs: number; signal?: AbortSignal }): Promise<GuestSession>;
  /** Drops the connection to a guest that is about to be stopped or replaced. */
  forget(address: string): Promise<void>;
  close(): Promise<void>;
}
