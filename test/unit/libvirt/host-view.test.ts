import { describe, expect, it } from '@jest/globals';
import { HostView } from '../../../lib/libvirt/host-view';
import type { HostedComputer } from '../../../lib/libvirt/hosted-computer';
import type { HostLook } from '../../../lib/libvirt/look';

/** A host that takes its time to answer, and a clock to go with it. */
class SlowHost {
  clock = 0;
  looks = 0;
  private answers: (() => void)[] = [];

  readonly view = new HostView(
    {} as HostedComputer,
    () => {
      const look = { number: ++this.looks } as unknown as HostLook;
      return new Promise((resolve) => this.answers.push(() => resolve(look)));
    },
    () => this.clock,
  );

  async answerAfter(seconds: number): Promise<void> {
    this.clock += seconds * 1000;
    this.answers.splice(0).forEach((answer) => answer());
    await new Promise(setImmediate);
  }
}

describe('what was seen on a host', () => {
  it('is believed for 15 s after the host answered', async () => {
    const host = new SlowHost();
    void host.view.current();
    await host.answerAfter(3);
    host.clock += 14_999;
    expect(await host.view.current()).toEqual({ number: 1 });
    host.clock += 1;
    void host.view.current();
    expect(host.looks).toBe(2);
  });

  it('is believed for as long as the look took, where that is longer: a slow host is not asked before each step', async () => {
    const host = new SlowHost();
    void host.view.current();
    await host.answerAfter(40);
    host.clock += 39_000;
    expect(await host.view.current()).toEqual({ number: 1 });
    host.clock += 1000;
    void host.view.current();
    expect(host.looks).toBe(2);
  });

  it('is not asked for twice at once, however slow the host', async () => {
    const host = new SlowHost();
    const both = [host.view.current()];
    host.clock += 60_000;
    both.push(host.view.current());
    await host.answerAfter(1);
    expect(await Promise.all(both)).toEqual([{ number: 1 }, { number: 1 }]);
  });

  it('keeps its age when something was changed, and is forgotten when that failed', async () => {
    const host = new SlowHost();
    void host.view.current();
    await host.answerAfter(1);
    await host.view.change(
      async () => {},
      () => ({ number: 'changed' }) as unknown as HostLook,
    );
    expect(await host.view.current()).toEqual({ number: 'changed' });
    host.clock += 15_000;
    void host.view.current();
    expect(host.looks).toBe(2);
    await host.answerAfter(1);
    const failed = host.view.change(
      () => Promise.reject(new Error('no')),
      (look) => look,
    );
    await expect(failed).rejects.toThrow('no');
    void host.view.current();
    expect(host.looks).toBe(3);
  });
});
