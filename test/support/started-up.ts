import { eventually } from './eventually';
import type { Site } from './site';

/** Waits until the machine of a reservation runs. @throws the reservation's own reason when it failed instead */
export async function startedUp(site: Site, requestId: number, seconds = 60): Promise<void> {
  let failure: string | undefined;
  const isOver = async () => {
    if ((await site.requestState(requestId))?.startsWith('failed')) failure = await site.failure(requestId);
    return failure !== undefined || (await site.loadStates(requestId)).includes('startvm');
  };
  await eventually(isOver, seconds);
  if (failure !== undefined) throw new Error(`request ${requestId} failed: ${failure}`);
}
