/** What a load would do, and why a request is where it is: told before, during and after it. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { explainRequest } from '../../../lib/cli/explain';
import { planLoad } from '../../../lib/cli/plan';
import { DEFAULT_TIMINGS } from '../../../lib/model/timings';
import { eventually } from '../../support/eventually';
import { FakeDaemon } from '../../support/fake-daemon';
import { FakeSite } from '../../support/fake-site';

let site: FakeSite;
let daemon: FakeDaemon | undefined;

beforeEach(async () => {
  site = await FakeSite.open();
});
afterEach(async () => {
  await daemon?.stop();
  daemon = undefined;
  await site.close();
});

async function plan(requestId: number) {
  const lease = { managementNodeId: site.managementNodeId, holder: 'plan', token: 0 };
  const claim = { requestId, state: 'new', lastState: 'new', loadId: 'plan', lease } as const;
  const [reservation] = await site.store.readReservations(claim);
  const { hosts, config, registry } = site.adapters();
  return planLoad(reservation!, { hosts, settings: config, registry });
}

async function sentences(requestId: number, holder: string | null = 'somebody'): Promise<string> {
  const [details, now] = [await site.frontEnd.show(requestId), await site.store.now()];
  return explainRequest({ details, now, holder, timings: DEFAULT_TIMINGS }).join('\n');
}

describe('a plan', () => {
  it('names driver, files and commands of each step, and changes nothing', async () => {
    const requestId = await site.reserve({ computer: 'vm1' });
    const before = await site.traces();
    const planned = await plan(requestId);
    expect(planned).toMatchObject({ computer: 'vm1', driver: 'kvm', why: 'the only one whose probe agrees' });
    const text = JSON.stringify(planned.steps);
    for (const wanted of ['qemu-img', 'net-update', 'define', planned.files.disk, planned.files.xml])
      expect(text).toContain(wanted);
    expect(planned.domainXml).toContain(`<name>${planned.domain}</name>`);
    expect(await site.traces()).toEqual(before);
    expect(await site.requestState(requestId)).toBe('new/new');
  });

  it('can be made of a computer that is given volumes, and names them', async () => {
    await site.frontEnd.planVolume('computer', 'vm1', { name: 'home', type: 'data', sizeMiB: 2 });
    const before = await site.traces();
    const planned = await plan(await site.reserve({ computer: 'vm1' }));
    expect(planned.domainXml).toContain('data-home');
    expect(await site.traces()).toEqual(before);
  });

  it('is what the load then does: the same domain, the same disk', async () => {
    const requestId = await site.reserve({ computer: 'vm1' });
    const planned = await plan(requestId);
    daemon = new FakeDaemon(site);
    await eventually(async () => (await site.frontEnd.show(requestId)).status === 'ready');
    const [domain] = site.host.domains();
    expect(domain!.name).toBe(planned.domain);
    expect(site.host.files('vms')).toContain(planned.files.disk.split('/').at(-1));
  });
});

describe('an explanation', () => {
  it('of a request that waits says that nobody works, or that it is due', async () => {
    const requestId = await site.reserve({ computer: 'vm1' });
    expect(await sentences(requestId, null)).toContain('No daemon works for this management node now');
    expect(await sentences(requestId)).toMatch(/It is due: the next look at the inbox takes it up/);
  });

  it('of a machine that waits for its user says for what, how long, and what comes then', async () => {
    const requestId = await site.reserve({ computer: 'vm1' });
    daemon = new FakeDaemon(site);
    await eventually(async () => (await site.frontEnd.show(requestId)).status === 'ready');
    await eventually(async () => (await sentences(requestId)).includes('press Connect'));
    expect(await sentences(requestId)).toMatch(
      /press Connect, 15 min at most; then it times out[\s\S]*Still to come: /,
    );
  });

  it('of a failure names the step, who must act and what to do', async () => {
    const { image } = site;
    await site.database.change('update imagerevision set imagename = ? where id = ?', ['nowhere', image.revisionId]);
    const requestId = await site.reserve({ computer: 'vm1' });
    daemon = new FakeDaemon(site);
    await eventually(async () => (await site.frontEnd.show(requestId)).status === 'failed');
    const told = await sentences(requestId);
    expect(told).toMatch(/the step 'find the image' failed with IMAGE_NOT_FOUND; the image is to blame/);
    expect(told).toMatch(/What to do: Put the image file/);
    expect(told).toMatch(new RegExp(`Another try: provisiond recover ${requestId} --retry`));
  });
});
