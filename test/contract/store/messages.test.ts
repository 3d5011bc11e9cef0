import { expect, it } from '@jest/globals';
import { Messenger } from '../../../lib/messages/messenger';
import { MemoryLog } from '../../fixtures/memory-log';
import { describeOnBoth, type TestStore } from '../../support/store';

async function open(t: TestStore, { mailIsOn = true } = {}) {
  const { requestId } = await t.newReservation();
  const claim = await t.take(requestId);
  const [reservation] = await t.store.readReservations(claim);
  const console: string[] = [];
  const log = new MemoryLog();
  const messenger = () =>
    new Messenger({
      ...{ store: t.store, claim, reservation: reservation!, log, mailIsOn, onQueued: () => {} },
      writeToConsole: async (line) => void console.push(line),
    });
  return { messenger, console, log };
}

const setUser = (t: TestStore, values: { email: string; emailnotices: number }) =>
  t.db.change('update user set email = ?, emailnotices = ? where id = 1', [values.email, values.emailnotices]);

const putVariable = (t: TestStore, name: string, value: string) =>
  t.db.insert('variable', { name, serialization: 'yaml', value, timestamp: '2026-01-01 00:00:00' });

const queued = (t: TestStore) => t.store.messages.due(t.managementNodeId);
const affiliationOf = async (t: TestStore) =>
  (await t.db.one<{ name: string }>(
    'select name from affiliation where id = (select affiliationid from user where id = 1)',
  ))!.name;

describeOnBoth('a message to the user', (current) => {
  it('is in our own words where the site has none', async () => {
    const t = current();
    await setUser(t, { email: 'admin@vcl.test', emailnotices: 1 });
    const { messenger } = await open(t);
    await messenger().tellUser('reserved');
    expect(await queued(t)).toMatchObject([
      {
        recipient: 'admin@vcl.test',
        subject: 'Your reservation of Tiny Linux is ready',
        body: expect.stringMatching('Connect'),
      },
    ]);
  });

  it('is in the words of the site, of the affiliation of the user first', async () => {
    const t = current();
    await setUser(t, { email: 'admin@vcl.test', emailnotices: 1 });
    await putVariable(t, 'usermessage|reserved|Global', 'subject: for all\nmessage: all\n');
    const { messenger } = await open(t);
    await messenger().tellUser('reserved', { occasion: 'first' });
    const own = 'subject: ours, [user_login_id]\nmessage: "[computer_short_name]: [image_prettyname]"\n';
    await putVariable(t, `usermessage|reserved|${await affiliationOf(t)}`, own);
    await messenger().tellUser('reserved', { occasion: 'second' });
    const found = await queued(t);
    expect(found.map(({ subject, body }) => [subject, body])).toEqual([
      ['for all', 'all\n'],
      ['ours, admin', 'vm1: Tiny Linux\n'],
    ]);
  });

  it('is in our own words when the row of the site cannot be read, and the log says so', async () => {
    const t = current();
    await setUser(t, { email: 'admin@vcl.test', emailnotices: 1 });
    await putVariable(t, 'usermessage|reserved|Global', 'nonsense');
    const { messenger, log } = await open(t);
    await messenger().tellUser('reserved');
    expect(await queued(t)).toHaveLength(1);
    expect(log.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: expect.stringMatching('template') }),
    );
  });

  it('is queued once a claim, however often the step is run, and again for another occasion', async () => {
    const t = current();
    await setUser(t, { email: 'admin@vcl.test', emailnotices: 1 });
    const { messenger } = await open(t);
    for (let run = 0; run < 2; run++) await messenger().tellUser('reserved');
    await messenger().tellUser('endtime_reached');
    expect(await queued(t)).toHaveLength(2);
  });

  it('is not sent to who switched notices off, unless it answers what he asked for', async () => {
    const t = current();
    await setUser(t, { email: 'admin@vcl.test', emailnotices: 0 });
    const { messenger } = await open(t);
    await messenger().tellUser('reserved');
    expect(await queued(t)).toEqual([]);
    await messenger().tellUser('image_creation_success');
    expect(await queued(t)).toHaveLength(1);
  });

  it('of the end that is near is written to his console too, the same line once', async () => {
    const t = current();
    const { messenger, console } = await open(t, { mailIsOn: false });
    const told = messenger();
    const near = { substitutions: { notice_interval: '10 minutes' } };
    for (let run = 0; run < 2; run++) await told.tellUser('endtime_imminent', near);
    expect(console).toEqual(['10 minutes until the end of your reservation. Please save your work and log off.']);
    expect(await queued(t)).toEqual([]);
  });

  it('that cannot be written costs the state nothing', async () => {
    const t = current();
    await setUser(t, { email: 'admin@vcl.test', emailnotices: 1 });
    const { messenger, log } = await open(t);
    await t.db.change('drop table provisiond_message');
    await expect(messenger().tellUser('reserved')).resolves.toBeUndefined();
    expect(log.lines.at(-1)).toMatchObject({ level: 'warn' });
  });
});

describeOnBoth('a message to the admins', (current) => {
  it('goes to the address of the management node, with the facts of the reservation', async () => {
    const t = current();
    const { messenger } = await open(t);
    await messenger().tellAdmins('image_creation_failed');
    expect(await queued(t)).toEqual([]);
    await t.db.change(
      "update managementnode set sysadminEmailAddress = 'root@vcl.test', sharedMailBox = 'log@vcl.test'",
    );
    await putVariable(
      t,
      'adminmessage|image_creation_failed',
      'subject: "[image_name]"\nmessage: "[vmhost_short_name] [imagemeta_sysprep]"\n',
    );
    await messenger().tellAdmins('image_creation_failed');
    expect(await queued(t)).toMatchObject([
      { recipient: 'root@vcl.test', copy: 'log@vcl.test', subject: t.image.fileName, body: 'host1 1\n' },
    ]);
  });
});
