/** A site on the lab's Xen host. Its processor is emulated: everything takes ten times as long there. */
import type { Config } from '../../lib/config/config';
import { Site } from './site';
import { PATIENCE, xenVmHost } from './vm-host';

/** Of Xen's time, in milliseconds. */
export const MINUTE = 60_000 * PATIENCE;

export function openXenSite(settings: Partial<Config> = {}): Promise<Site> {
  return Site.open({
    vmHost: xenVmHost,
    settings: {
      ...{ commandTimeoutMs: 5 * MINUTE, guestBootTimeoutMs: 5 * MINUTE, sshConnectTimeoutMs: MINUTE },
      guestShutdownTimeoutMs: 2 * MINUTE,
      ...settings,
    },
  });
}
