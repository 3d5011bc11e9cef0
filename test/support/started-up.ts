import { eventually, type Site } from './site';

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

/** Its machine is not handed on, however quickly the load came to its end: the next reservation is a whole load again. */
export async function endAsUsed(site: Site, requestId: number): Promise<void> {
  await site.database('reservation').where({ requestid: requestId }).update({ remoteIP: '192.168.122.1' });
  await site.frontEnd.end(requestId);
}
