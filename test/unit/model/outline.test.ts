/** Which VMs may be put onto which base. */
import { describe, expect, it } from '@jest/globals';
import { outlineDifferences, outlineOf, type Slot } from '../../../lib/model/outline';
import type { Volume } from '../../../lib/model/volume';

const BOTH = [false, true];
/** All eight VMs with or without a swap volume, a data volume and a drive. */
const MADE_OF = BOTH.flatMap((swap) => BOTH.flatMap((data) => BOTH.map((cd) => ({ swap, data, cd }))));

function outlineWith({ swap, data, cd }: (typeof MADE_OF)[number]): Slot[] {
  const volume = (target: string, type: Volume['type']) => ({ target, type }) as Volume;
  const volumes = [
    volume('vda', 'system'),
    ...(swap ? [volume('vdb', 'temporary')] : []),
    ...(data ? [volume('vdc', 'data')] : []),
  ];
  return outlineOf(volumes, [
    ...volumes.map(({ target }) => ({ target, device: 'disk' })),
    ...(cd ? [{ target: 'sda', device: 'cdrom' }] : []),
  ]);
}

describe('the outline of a VM', () => {
  it.each(MADE_OF.flatMap((own) => MADE_OF.map((base) => ({ own, base }))))(
    'with $own fits a base with $base only when both are made of the same, whichever has more',
    ({ own, base }) => {
      const differences = outlineDifferences(outlineWith(own), outlineWith(base));
      const unequal = (['swap', 'data', 'cd'] as const).filter((name) => own[name] !== base[name]);
      expect(differences).toHaveLength(unequal.length);
    },
  );

  it('tells a data volume from a temporary one at the same target', () => {
    const slot = (type: Slot['type']): Slot[] => [{ target: 'vdb', type }];
    expect(outlineDifferences(slot('data'), slot('temporary'))).toEqual(['vdb is data and would be temporary']);
  });

  it('is in the order of the targets, vdaa after vdz', () => {
    const volumes = ['vdaa', 'vdz', 'vda'].map((target) => ({ target, type: 'data' }) as Volume);
    expect(outlineOf(volumes, []).map(({ target }) => target)).toEqual(['vda', 'vdz', 'vdaa']);
  });
});
