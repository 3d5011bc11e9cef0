/** The captures that VCL's web front end orders, and its answer to the daemon that asks for one. */
import { idOf, WebRows } from './web-rows';

export interface Target {
  readonly imageId: number;
  readonly revisionId: number;
}

export class WebCaptures extends WebRows {
  /** End Reservation & Create Image, or Keep Reservation & Create Image (a checkpoint): a new image. */
  async createImage(requestId: number, prettyName: string, as: 'image' | 'checkpoint' = 'image'): Promise<Target> {
    const target = await this.newImage(requestId, prettyName, { autocaptured: 0 });
    await this.capture(requestId, target, as);
    return target;
  }

  /** End Reservation & Create Image of the image that it is: a new revision. */
  async updateImage(requestId: number): Promise<Target> {
    const target = await this.newRevision(requestId, { autocaptured: 0 });
    await this.capture(requestId, target, 'image');
    return target;
  }

  /**
   * `XMLRPCautoCapture`, which the daemon calls. Its owner's image gets a revision, anybody else's use makes a new image.
   * @returns what the front end answers
   */
  async autoCapture(requestId: number): Promise<Record<string, string | number>> {
    const request = await this.request(requestId);
    if (request?.stateid !== idOf('pending') || request.laststateid !== idOf('inuse')) {
      return { status: 'error', errorcode: 51, errormsg: 'reservation not in valid state' };
    }
    const [{ imageid }] = await this.reservationsOf(requestId);
    const { ownerid } = await this.database('image').where({ id: imageid }).first<{ ownerid: number }>();
    const target =
      ownerid === request.userid
        ? await this.newRevision(requestId, { autocaptured: 1 })
        : await this.newImage(requestId, `Autocaptured (${request.userid} - ${requestId})`, { autocaptured: 1 });
    await this.update(
      'reservation',
      { requestid: requestId },
      { imageid: target.imageId, imagerevisionid: target.revisionId },
    );
    await this.overwrite(requestId, 'image'); // forimaging is left as it is
    return { status: 'success' };
  }

  private async newImage(requestId: number, prettyname: string, more: { autocaptured: number }): Promise<Target> {
    const [{ imageid }] = await this.reservationsOf(requestId);
    const { id: _id, ...like } = await this.database('image').where({ id: imageid }).first<Record<string, unknown>>();
    const os = await this.database('OS').where({ id: like['OSid'] }).first<{ name: string }>();
    const { userid } = (await this.request(requestId))!;
    const unfinished = { deleted: 1, size: 0, imagetypeid: 1, lastupdate: null, ownerid: userid };
    const imageId = await this.insert('image', { ...like, ...unfinished, name: `${os.name}-new`, prettyname });
    const name = `${os.name}-${prettyname.replace(/[\W_]/g, '')}${imageId}-v0`;
    await this.update('image', { id: imageId }, { name });
    const revisionId = await this.insert('imagerevision', {
      ...{ imageid: imageId, revision: 0, userid, datecreated: await this.time(0), deleted: 0 },
      ...{ production: 1, comments: '', imagename: name, ...more },
    });
    const resourceid = await this.insert('resource', { resourcetypeid: 13, subid: imageId });
    const group = await this.database('resourcegroup').where({ name: 'allVMimages' }).first<{ id: number }>();
    await this.write(
      'resourcegroupmembers',
      this.database('resourcegroupmembers').insert({ resourceid, resourcegroupid: group.id }),
    );
    return { imageId, revisionId };
  }

  private async newRevision(requestId: number, more: { autocaptured: number }): Promise<Target> {
    const [{ imageid }] = await this.reservationsOf(requestId);
    const revisions = await this.database('imagerevision')
      .where({ imageid })
      .select<{ revision: number }[]>('revision');
    const revision = Math.max(...revisions.map((row) => row.revision)) + 1;
    const { name } = await this.database('image').where({ id: imageid }).first<{ name: string }>();
    const { userid } = (await this.request(requestId))!;
    await this.update('image', { id: imageid }, { test: 1 });
    const revisionId = await this.insert('imagerevision', {
      ...{ imageid, revision, userid, datecreated: await this.time(0), deleted: 1, production: 0, comments: '' },
      ...{ imagename: name.replace(/-v\d+$/, `-v${revision}`), ...more },
    });
    return { imageId: imageid, revisionId };
  }

  private async capture(requestId: number, target: Target, as: 'image' | 'checkpoint'): Promise<void> {
    const image = { imageid: target.imageId, imagerevisionid: target.revisionId };
    await this.update('reservation', { requestid: requestId }, image);
    if (as === 'image') await this.update('request', { id: requestId }, { stateid: idOf('image'), forimaging: 1 });
    else await this.overwrite(requestId, 'checkpoint');
  }
}
