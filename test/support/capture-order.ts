/** Captures as VCL's front end orders them (contract 7.3), on any database. */
import { existsSync, readdirSync } from 'node:fs';
import { STATE_IDS } from '../../lib/model/states';
import { joinGroups } from '../../lib/store/inventory-rows';
import type { Database } from '../../lib/store/database';
import { openStore } from '../../lib/store/open-store';
import type { FakeSite } from './fake-site';

export interface OrderedImage {
  readonly imageId: number;
  readonly revisionId: number;
}

export interface CaptureOrder {
  /** Default: a new image; else the next revision of the one that is loaded. */
  readonly what?: 'new image' | 'new revision';
  readonly prettyName?: string;
}

/** Rows of the new image or revision, marked deleted; the reservation's image is that one from now on. */
export async function orderCapture(
  database: Database,
  requestId: number,
  state: 'image' | 'checkpoint',
  { what = 'new image', prettyName = 'My Image' }: CaptureOrder = {},
): Promise<OrderedImage> {
  return database.transaction(async (tx) => {
    const { imageid } = (await tx.one<{ imageid: number }>('select imageid from reservation where requestid = ?', [
      requestId,
    ]))!;
    const { id: _, ...image } = (await tx.one<Record<string, string | number>>('select * from image where id = ?', [
      imageid,
    ]))!;
    const { time } = (await tx.one<{ time: string }>(`select ${tx.dialect.now} as time`))!;
    const ordered = { userid: 1, datecreated: time, comments: '' };
    let target: OrderedImage;
    if (what === 'new image') {
      const row = {
        ...image,
        name: `vmwarelinux-${prettyName}`,
        prettyname: prettyName,
        deleted: 1,
        size: 0,
        imagetypeid: 1,
      };
      const imageId = await tx.insert('image', { ...row, lastupdate: null });
      const name = `vmwarelinux-${prettyName.replace(/\W/g, '')}${imageId}-v0`;
      await tx.change('update image set name = ? where id = ?', [name, imageId]);
      const revision = { ...ordered, imageid: imageId, revision: 0, deleted: 0, production: 1, imagename: name };
      target = { imageId, revisionId: await tx.insert('imagerevision', revision) };
      await joinGroups(tx, 'image', imageId, ['allImages', 'allVMimages']);
    } else {
      const { next } = (await tx.one<{ next: number }>(
        'select max(revision) + 1 as next from imagerevision where imageid = ?',
        [imageid],
      ))!;
      const name = String(image['name']).replace(/-v\d+$/, `-v${next}`);
      await tx.change('update image set test = 1 where id = ?', [imageid]);
      const revision = { ...ordered, imageid, revision: next, deleted: 1, production: 0, imagename: name };
      target = { imageId: imageid, revisionId: await tx.insert('imagerevision', revision) };
    }
    await tx.change('update reservation set imageid = ?, imagerevisionid = ? where requestid = ?', [
      target.imageId,
      target.revisionId,
      requestId,
    ]);
    const imaging = state === 'image' ? ', forimaging = 1' : '';
    await tx.change(`update request set stateid = ?${imaging} where id = ?`, [STATE_IDS[state], requestId]);
    return target;
  });
}

/** The same on a database that is named by its address. */
export async function orderCaptureAt(
  url: string,
  ...order: Rest<Parameters<typeof orderCapture>>
): Promise<OrderedImage> {
  const { store, db } = openStore({ database: url });
  try {
    return await orderCapture(db, ...order);
  } finally {
    await store.close();
  }
}

type Rest<T extends readonly unknown[]> = T extends [unknown, ...infer R] ? R : never;

/** What captures leave on the hosts of a fake site, and which images users could get. */
export async function captureTraces(site: FakeSite): Promise<string[]> {
  const files = [...site.hosts].flatMap(([name, host]) => [
    ...['datastore', 'repository'].flatMap((folder) =>
      host
        .files(folder)
        .filter((file) => !file.endsWith('.lock') && file !== `${site.image.fileName}.qcow2`)
        .map((file) => `file ${name}/${folder}/${file}`),
    ),
    ...(existsSync(host.path('guests')) ? readdirSync(host.path('guests')) : [])
      .filter((folder) => folder.includes('.provisiond-before'))
      .map(() => `a state of a disk is kept on ${name}`),
  ]);
  const images = await site.database.rows<{ imagename: string; name: string; size: number }>(
    `select v.imagename, i.name, i.size from imagerevision v join image i on i.id = v.imageid
     where v.deleted = 0 and i.deleted = 0 and v.id > ? order by v.id`,
    [site.image.revisionId],
  );
  return [...files, ...images.map(({ imagename, name, size }) => `image ${imagename} of ${name}, ${size} MiB`)];
}
