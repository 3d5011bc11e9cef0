/** Calls that must not be lost: a row in the queue, delivered in the background, waited for as long as it takes. */
import { ProvisiondError } from '../errors';
import type { Claim, QueuedCall, Store } from '../store/store';
import type { FrontEndAnswer, FrontEndClient, FrontEndMethod } from './front-end-client';
import type { RpcValue } from './xml-rpc';

const LOOK_EVERY_MS = 1000;

export interface FrontEndCalls {
  /**
   * Calls the front end, once a claim and parameters, however often the step is run and however long the web is down.
   * @param pause waits, and throws when the work is told to stop
   * @throws FRONT_END_REFUSED
   */
  ask(
    method: FrontEndMethod,
    parameters: readonly RpcValue[],
    pause: (milliseconds: number) => Promise<void>,
  ): Promise<FrontEndAnswer>;
}

/** @param onQueued something was put into the queue */
export function queuedCalls(store: Store, claim: Claim, onQueued: () => void): FrontEndCalls {
  return {
    async ask(method, parameters, pause) {
      const occasion = `${method}/${JSON.stringify(parameters)}/${claim.loadId}`;
      await store.queueCall(claim.lease, occasion, { method, parameters });
      onQueued();
      for (;;) {
        await pause(LOOK_EVERY_MS);
        const outcome = await store.callOutcome(occasion);
        if (outcome === null) throw new ProvisiondError('FRONT_END_REFUSED', `the call ${occasion} was removed`);
        if (outcome.state === 'done') return outcome.answer as FrontEndAnswer;
        if (outcome.state === 'refused') throw new ProvisiondError('FRONT_END_REFUSED', outcome.error);
      }
    },
  };
}

/** The other end of the queue. */
export async function deliverCall(client: FrontEndClient, call: QueuedCall, signal: AbortSignal): Promise<unknown> {
  return client.call(call.method as FrontEndMethod, call.parameters as readonly RpcValue[], signal);
}
