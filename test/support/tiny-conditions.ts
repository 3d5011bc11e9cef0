/** Tiny guests of a site, each in the condition that is asked for, brought there with virsh, past provisiond. */
import type { Condition } from '../../lib/model/vm-states';
import { eventually } from './eventually';
import type { Site } from './site';
import { defineTinyGuest, type Manners } from './tiny-guest';

const BOOT_MS = 2500;
const MANNERS: { readonly [C in Condition]?: Manners } = { Crashed: 'panicking', Asleep: 'sleeping' };

export class TinyGuests {
  private readonly domains = new Map<string, string>();

  constructor(private readonly site: Site) {}

  /** A new domain in the condition. @param withSnapshot `s1`, taken where qemu can @returns its name */
  async bring(computer: string, condition: Condition, withSnapshot: boolean): Promise<string> {
    const { site } = this;
    const old = this.domains.get(computer);
    if (old !== undefined) {
      await site.virsh('destroy', old).catch(() => {});
      await site.virsh('undefine', old, '--managed-save', '--snapshots-metadata').catch(() => {});
    }
    const domain = await defineTinyGuest(site, computer, MANNERS[condition] ?? 'obedient');
    this.domains.set(computer, domain);
    const takeSnapshot = () => (withSnapshot ? site.virsh('snapshot-create-as', domain, 's1') : null);
    if (condition === 'Halted') {
      await takeSnapshot();
      return domain;
    }
    await site.virsh('start', domain);
    if (condition === 'Paused') await site.virsh('suspend', domain);
    if (condition !== 'Crashed' && condition !== 'Suspended') await takeSnapshot();
    if (condition === 'Suspended') await site.virsh('managedsave', domain);
    if (condition === 'Crashed' || condition === 'Asleep') await this.press(domain, condition);
    if (condition === 'Running') await new Promise((resolve) => setTimeout(resolve, BOOT_MS));
    if (condition === 'Crashed' || condition === 'Suspended') await takeSnapshot();
    return domain;
  }

  /** What the host has of the computer's domain, in words of the table. */
  async condition(computer: string): Promise<Condition> {
    const domain = this.domains.get(computer)!;
    const state = (await this.site.virsh('domstate', domain)).trim();
    const isSaved = /Managed save: +yes/.test(await this.site.virsh('dominfo', domain));
    if (state === 'shut off') return isSaved ? 'Suspended' : 'Halted';
    return (
      ({ running: 'Running', paused: 'Paused', crashed: 'Crashed', pmsuspended: 'Asleep' } as const)[state] ?? 'Running'
    );
  }

  /** Guests of such manners answer the button in their own way, once they hear it. */
  private async press(domain: string, condition: 'Crashed' | 'Asleep'): Promise<void> {
    const wanted = condition === 'Crashed' ? 'crashed' : 'pmsuspended';
    await eventually(async () => {
      await this.site.virsh('shutdown', domain).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 300));
      return (await this.site.virsh('domstate', domain)).trim() === wanted;
    }, 60);
  }
}
