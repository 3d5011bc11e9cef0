import { setTimeout as pause } from 'node:timers/promises';
import { PATIENCE } from './patience';

/**
 * Waits for what is to come. An error of the condition itself ends the waiting.
 * @param seconds a quiet machine needs less than that
 * @param complaint what is said when it does not come
 */
export async function eventually(
  condition: () => Promise<boolean> | boolean,
  seconds = 10,
  complaint?: () => string | Promise<string>,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000 * PATIENCE;
  while (!(await condition())) {
    if (Date.now() > deadline) {
      const said = (await complaint?.()) ?? condition.toString();
      throw new Error(`not within ${seconds * PATIENCE} s: ${said}`);
    }
    await pause(50);
  }
}

/** Where requests are: of real parts or fake ones. */
interface Requests {
  /** `state/laststate`; null when the row is gone. */
  requestState(requestId: number): Promise<string | null>;
}

/**
 * Waits until a request is in one of these states.
 * @param states each `state/laststate`, or null: its row is gone
 * @param seconds a quiet machine needs less than that
 * @returns which
 */
export async function untilRequest(
  requests: Requests,
  requestId: number,
  states: readonly (string | null)[],
  seconds = 30,
): Promise<string | null> {
  let now: string | null = '';
  const wanted = states.map((state) => state ?? 'gone').join(' or ');
  const isThere = async () => states.includes((now = await requests.requestState(requestId)));
  await eventually(isThere, seconds, () => `request ${requestId} is ${now ?? 'gone'}, not ${wanted}`);
  return now;
}
