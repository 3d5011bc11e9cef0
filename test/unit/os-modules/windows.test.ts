/** What a Windows guest would be sent; no Windows is there to run it. */
import { describe, expect, it } from '@jest/globals';
import { asGuest } from '../../../lib/host/guest';
import type { GuestSession } from '../../../lib/host/guest-session';
import type { OsModule } from '../../../lib/plugins/api';
import windows from '../../../os-modules/windows';
import { makeHostedReservation } from '../../fixtures/hosted-reservation';

interface Sent {
  readonly text: string;
  readonly args: readonly string[];
  readonly input: string;
}

function guestThatSays(stdout = '', exitCode = 0) {
  const sent: Sent[] = [];
  const commandLines: string[] = [];
  const run: GuestSession['run'] = (argv, options) => {
    commandLines.push(argv.join(' '));
    const [text, args, input] = String(options?.stdin)
      .split('\n')
      .map((word) => Buffer.from(word.slice(1), 'base64').toString());
    sent.push({ text: text!, args: JSON.parse(args!) as string[], input: input! });
    return Promise.resolve({ exitCode, stdout, stderr: '' });
  };
  const session = { name: 'win1', address: '192.0.2.7', run } as unknown as GuestSession;
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const guest = asGuest(session, log, { shell: windows.shell });
  const reservation = makeHostedReservation({ image: { name: 'windows-Win10-v3' } });
  const context = { reservation, guest, log, signal: new AbortController().signal };
  return { sent, commandLines, context: context as unknown as Parameters<NonNullable<OsModule['postLoad']>>[0] };
}

const account = (login: string) => ({ login, uid: null, password: 'pa"ss; $(x)', sshPublicKeys: [], root: true });

describe('the Windows module', () => {
  it('tells from the mark of the load which image is on the machine, and whether a user was', async () => {
    const said = '@@boot_id 2026-11-21T20:00:00\r\n@@imagerevision_id 17\r\n@@vcld_post_load success\r\n';
    expect(await windows.status!(guestThatSays(said).context)).toEqual({
      imageRevisionId: 17,
      postLoadDone: true,
      tainted: false,
      bootId: '2026-11-21T20:00:00',
    });
    expect(await windows.status!(guestThatSays('@@vcld_tainted by hand').context)).toMatchObject({
      imageRevisionId: null,
      tainted: true,
    });
  });

  it('brings accounts with their passwords by input alone', async () => {
    const { context, sent, commandLines } = guestThatSays();
    await windows.reserve!({ ...context, accounts: [account('alice')] });
    expect(JSON.parse(sent[0]!.input)).toEqual([{ login: 'alice', password: 'pa"ss; $(x)', root: true, keep: false }]);
    expect([commandLines.join(), sent[0]!.text, ...sent[0]!.args].join()).not.toContain('pa"ss');
  });

  it.each(['administrator', 'a b', 'x'.repeat(21), '../x', 'a"b', ''])(
    'refuses %j as the name of an account',
    async (login) => {
      const { context, sent } = guestThatSays();
      await expect(windows.reserve!({ ...context, accounts: [account(login)] })).rejects.toMatchObject({
        code: 'REQUEST_INVALID',
      });
      expect(sent).toEqual([]);
    },
  );

  it('opens ports to the address of the user, and to any where a row holds none', async () => {
    const { context, sent } = guestThatSays();
    await windows.grantAccess!({ ...context, remoteIp: '203.0.113.7' });
    await windows.grantAccess!({ ...context, remoteIp: '1.2.3.4; calc.exe' });
    expect(sent.map(({ args }) => args[0])).toEqual(['203.0.113.7', 'Any']);
  });

  it('sets another password of the administrator at each load', async () => {
    const { context, sent } = guestThatSays();
    await windows.postLoad!(context);
    await windows.postLoad!(context);
    const [first, second] = sent.map(({ input }) => input.split('\n')[0]!);
    expect(first).not.toBe(second);
    for (const kind of [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z0-9]/, /.{20}/]) expect(first).toMatch(kind);
    expect(sent[0]!.input).toContain('\nwindows-Win10-v3\n');
  });

  it('passes on why a stage failed', async () => {
    const { context } = guestThatSays('@@error a user was on this machine\r\n', 1);
    await expect(windows.sanitize!({ ...context, accounts: [] })).rejects.toMatchObject({
      code: 'GUEST_COMMAND_FAILED',
      message: expect.stringContaining('a user was on this machine'),
    });
  });
});
