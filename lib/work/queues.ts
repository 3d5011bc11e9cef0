/** What is delivered in the background while the lease is ours: messages, and calls to the front end. */
import type { Config } from '../config/config';
import type { FrontEndClient } from '../front-end-rpc/front-end-client';
import { deliverCall } from '../front-end-rpc/queued-calls';
import type { Log } from '../log';
import type { Mailer } from '../messages/mailer';
import type { Lease, QueuedCall, QueuedMessage, Store } from '../store/store';
import { Deliveries } from './deliveries';

/** How long what was delivered can be looked up. */
const KEPT_DAYS = 30;

export interface QueuesParts {
  readonly store: Store;
  readonly config: Config;
  readonly frontEnd: FrontEndClient;
  readonly mailer: Mailer;
}

export class Queues {
  private readonly messages: Deliveries<QueuedMessage>;
  private readonly calls: Deliveries<QueuedCall>;

  constructor(
    private readonly parts: QueuesParts,
    private readonly lease: Lease,
    log: Log,
  ) {
    const { store, config, frontEnd, mailer } = parts;
    this.messages = new Deliveries({
      ...{ what: 'message', queue: store.messages, lease, log },
      deliver: (message) => mailer.send(message),
      firstPauseSeconds: 30,
      giveUpSeconds: config.mail.giveUpMs / 1000,
    });
    this.calls = new Deliveries({
      ...{ what: 'call', queue: store.calls, lease, log },
      deliver: (call, signal) => deliverCall(frontEnd, call, signal),
      longestPauseSeconds: 300,
    });
  }

  get mailIsOn(): boolean {
    return this.parts.mailer.isOn;
  }

  /** Something was put in, or some time has passed. */
  look = async (): Promise<void> => {
    await Promise.all([this.lookAtMessages(), this.lookAtCalls()]);
  };

  lookAtMessages = (): Promise<void> => (this.mailIsOn ? this.messages.look() : Promise.resolve());

  lookAtCalls = (): Promise<void> => this.calls.look();

  prune = async (): Promise<void> => {
    const { messages, calls } = this.parts.store;
    for (const queue of [messages, calls]) await queue.prune(this.lease, KEPT_DAYS);
  };

  async stop(): Promise<void> {
    await Promise.all([this.messages.stop(), this.calls.stop()]);
  }
}
