import { expect, it } from '@jest/globals';
import type { BaseFile } from '../../../lib/model/base-file';
import { describeOnBoth } from '../../support/store';

const BASE: BaseFile = {
  hostId: 900,
  path: '/images/linux-1-v0.qcow2',
  imageName: 'linux-1-v0',
  format: 'qcow2',
  virtualSizeBytes: 20 * 2 ** 40,
  sizeBytes: 6 * 2 ** 30,
  modified: 1_795_000_000,
  sha256: 'a'.repeat(64),
  source: `copied from /repository/it's "here"; ünïcödé`,
};

describeOnBoth('the record of base files', (current) => {
  it('gives back what was written, with sizes beyond 32 bits', async () => {
    const { store } = current();
    await store.recordBaseFile(BASE);
    await store.recordBaseFile({ ...BASE, hostId: 901 });
    expect(await store.findBaseFiles('linux-1-v0')).toEqual(
      [900, 901].map((hostId) => ({ ...BASE, hostId, recorded: expect.any(String), checked: null, damage: null })),
    );
    expect(await store.findBaseFiles('linux-1-v')).toEqual([]);
  });

  it('remembers a check until the file is recorded anew', async () => {
    const { store } = current();
    await store.recordBaseFile(BASE);
    await store.noteBaseCheck(BASE, 'its checksum is another');
    expect(await store.listBaseFiles()).toMatchObject([
      { checked: expect.any(String), damage: 'its checksum is another' },
    ]);
    await store.recordBaseFile({ ...BASE, sizeBytes: 5 });
    expect(await store.listBaseFiles()).toMatchObject([{ checked: null, damage: null, sizeBytes: 5 }]);
    await store.forgetBaseFile(BASE);
    expect(await store.listBaseFiles()).toEqual([]);
  });

  it('knows who still needs an image', async () => {
    const t = current();
    const use = async () => (await t.frontEnd.listImageUse()).find(({ imageName }) => imageName === t.image.fileName);
    expect(await use()).toMatchObject({ production: true, deleted: false, requests: 0, computers: 0 });
    await t.newReservation();
    await t.db.change('update image set deleted = 1 where id = ?', [t.image.imageId]);
    expect(await use()).toMatchObject({ deleted: true, requests: 1 });
  });
});
