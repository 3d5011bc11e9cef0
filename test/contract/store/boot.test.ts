import { expect, it } from '@jest/globals';
import { describeOnBoth } from '../../support/store';

describeOnBoth('boot parameters', (current) => {
  it('of a computer win over those of its image, and those over its VM profile’s', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const claim = await t.take(requestId);
    const boot = async () => (await t.store.readReservations(claim))[0]!.boot;
    const { hostname } = (await t.db.one<{ hostname: string }>(
      'select c.hostname from reservation r join computer c on c.id = r.computerid where r.requestid = ?',
      [requestId],
    ))!;
    const { facts } = (await t.frontEnd.listHosts())[0]!;
    expect(await boot()).toBeNull();
    await t.frontEnd.putBoot('profile', facts.profile.name, { pvArgs: 'profile' });
    expect(await boot()).toEqual({ pvArgs: 'profile' });
    await t.frontEnd.putBoot('image', 'Tiny Linux', { pvKernel: '/boot/guest/k' });
    expect(await boot()).toEqual({ pvKernel: '/boot/guest/k' });
    await t.frontEnd.putBoot('computer', hostname, { pvArgs: 'old' });
    await t.frontEnd.putBoot('computer', hostname, { hvmPolicy: 'BIOS order' });
    expect(await boot()).toEqual({ hvmPolicy: 'BIOS order' });
    expect((await t.frontEnd.listBoot()).map(({ kind }) => kind)).toEqual(['computer', 'image', 'profile']);
    for (const [kind, name] of [
      ['computer', hostname],
      ['image', 'Tiny Linux'],
    ] as const) {
      await t.frontEnd.putBoot(kind, name, null);
    }
    expect(await boot()).toEqual({ pvArgs: 'profile' });
    await expect(t.frontEnd.putBoot('image', 'Nothing', {})).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
