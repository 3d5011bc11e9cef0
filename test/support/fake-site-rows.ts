/** What of a fake site is in its database: requests are made there, and looked at, as the front end does. */
import { STATE_IDS, stateName, type StateName } from '../../lib/model/states';
import type { Database } from '../../lib/store/database';
import type { FrontEnd } from '../../lib/store/front-end';
import type { Lease, Store } from '../../lib/store/store';

export abstract class FakeSiteRows {
  store!: Store;
  frontEnd!: FrontEnd;
  database!: Database;
  managementNodeId = 0;
  image!: { imageId: number; revisionId: number; fileName: string };
  lease!: Lease;

  async reserve(more: { minutes?: number; computer?: string } = {}): Promise<number> {
    const wanted = { image: 'Tiny Linux', user: 'student', start: null, minutes: 60, ...more };
    return (await this.frontEnd.addReservation(wanted)).requestId;
  }

  /** A reload or other request without a user (`simpleAddRequest`): state and last state the same, no log. */
  async requestFor(computer: string, state: StateName): Promise<number> {
    const { now, addSeconds } = this.database.dialect;
    const times = await this.database.one<{ start: string; end: string }>(
      `select ${now} as start, ${addSeconds(now, '1800')} as \`end\``,
    );
    const { id: computerid } = await this.computer(computer);
    return this.database.transaction(async (tx) => {
      const id = STATE_IDS[state];
      const user = { userid: 2, daterequested: times!.start, ...times! };
      const requestid = await tx.insert('request', { stateid: id, laststateid: id, ...user });
      await tx.insert('reservation', {
        requestid,
        computerid,
        imageid: this.image.imageId,
        imagerevisionid: this.image.revisionId,
        managementnodeid: this.managementNodeId,
      });
      return requestid;
    });
  }

  /** Writes another state over a request, as the front end does: the last state stays what it is. */
  async overwrite(requestId: number, state: StateName): Promise<void> {
    await this.database.change('update request set stateid = ? where id = ?', [STATE_IDS[state], requestId]);
  }

  /** Moves the end of a reservation to so many seconds from now. */
  async endIn(requestId: number, seconds: number): Promise<void> {
    const { now, addSeconds } = this.database.dialect;
    await this.database.change(`update request set \`end\` = ${addSeconds(now, '?')} where id = ?`, [
      seconds,
      requestId,
    ]);
  }

  /** `state/laststate`; null when the row is gone. */
  async requestState(requestId: number): Promise<string | null> {
    const row = await this.database.one<{ stateid: number; laststateid: number }>(
      'select stateid, laststateid from request where id = ?',
      [requestId],
    );
    return row ? `${stateName(row.stateid)}/${stateName(row.laststateid)}` : null;
  }

  async computer(name: string) {
    const row = await this.database.one<{ id: number; stateid: number; currentimageid: number; guestKey: string }>(
      `select c.id, c.stateid, c.currentimageid, g.hostkey as guestKey from computer c
       left join provisiond_guest g on g.computerid = c.id where c.hostname = ?`,
      [name],
    );
    return row!;
  }

  async computerState(name: string): Promise<StateName> {
    return stateName((await this.computer(name)).stateid)!;
  }

  async logEnding(requestId: number): Promise<string | undefined> {
    const sql = 'select ending from log where requestid = ?';
    return (await this.database.one<{ ending: string }>(sql, [requestId]))?.ending;
  }

  /** The text of the loadlog row `failed`. */
  async failure(requestId: number): Promise<string> {
    const { timeline } = await this.frontEnd.show(requestId);
    return timeline.filter(({ loadState }) => loadState === 'failed').at(-1)?.text ?? '';
  }
}
