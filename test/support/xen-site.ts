/** A site on the lab's Xen host. Its processor is emulated: everything takes ten times as long there. */
import type { Config } from '../../lib/config/config';
import { Site } from './site';
import { PATIENCE } from './patience';
import { xenVmHost } from './vm-host';

const MINUTE_MS = 60_000;
/** Of tests there: what a quiet machine needs, in milliseconds. */
export const MINUTE = MINUTE_MS * PATIENCE;

export function openXenSite(settings: Partial<Config> = {}): Promise<Site> {
  return Site.open({
    vmHost: xenVmHost,
    settings: {
      ...{ commandTimeoutMs: 5 * MINUTE_MS, guestBootTimeoutMs: 5 * MINUTE_MS, sshConnectTimeoutMs: MINUTE_MS },
      guestShutdownTimeoutMs: 2 * MINUTE_MS,
      ...settings,
    },
  });
}
