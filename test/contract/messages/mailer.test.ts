import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadConfig } from '../../../lib/config/load';
import { Mailer } from '../../../lib/messages/mailer';
import type { QueuedMessage } from '../../../lib/store/store';

const MESSAGE: QueuedMessage = {
  ...{ id: 7, attempts: 0, ageSeconds: 1 },
  recipient: 'student@vcl.test',
  sender: 'help@vcl.test',
  copy: null,
  subject: 'Your reservation of Tiny Linux is ready',
  body: 'Press Connect.\n',
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'mailer-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const settings = (more: object) => ({
  ...loadConfig({ env: {}, folder, hostname: 'node1.test' }).config.mail,
  ...more,
});

describe('a message sent with sendmail', () => {
  /** A program that keeps what it is given, as sendmail takes it. */
  function sendmail(exitCode = 0): string {
    const file = path.join(folder, 'sendmail');
    writeFileSync(file, `#!/bin/sh\necho "$@" > ${folder}/argv\ncat > ${folder}/mail\nexit ${exitCode}\n`);
    chmodSync(file, 0o755);
    return file;
  }
  const send = async (message: Partial<QueuedMessage> = {}, more: object = {}) => {
    const mailer = new Mailer(settings({ transport: 'sendmail', sendmailPath: sendmail(), ...more }), 'node1.test');
    await mailer.send({ ...MESSAGE, ...message });
    return {
      argv: readFileSync(path.join(folder, 'argv'), 'utf8').trim(),
      mail: readFileSync(path.join(folder, 'mail'), 'utf8'),
    };
  };

  it('comes from the help address of the affiliation and says what the template says', async () => {
    const { argv, mail } = await send();
    expect(argv).toMatch(/-f help@vcl\.test .*student@vcl\.test$/);
    expect(mail).toMatch(/^From: help@vcl\.test$/m);
    expect(mail).toMatch(/^Subject: Your reservation of Tiny Linux is ready$/m);
    expect(mail).toContain('Press Connect.');
  });

  it('is returned to the return path, and copied to the shared mailbox unseen', async () => {
    const { argv, mail } = await send({ copy: 'all@vcl.test' }, { returnPath: 'bounce@vcl.test' });
    expect(argv).toMatch(/-f bounce@vcl\.test .*student@vcl\.test all@vcl\.test$/);
    expect(mail).not.toContain('all@vcl.test');
  });

  it('comes from the node where the affiliation has no help address that is one', async () => {
    expect((await send({ sender: 'see the web page' })).mail).toMatch(/^From: vcl@node1\.test$/m);
  });

  it('is HTML when its text is, as in VCL', async () => {
    expect((await send({ body: '<html><b>ready</b></html>' })).mail).toMatch(/^Content-Type: text\/html/m);
  });

  it.each([
    '',
    'nobody',
    'a@vcl.test, b@vcl.test',
    '-oQ/tmp@vcl.test',
    'a@vcl.test\nBcc: b@vcl.test',
    'A <a@vcl.test>',
  ])('is never sent to %j, which is no address of one recipient', async (recipient) => {
    await expect(send({ recipient })).rejects.toMatchObject({ code: 'MAIL_NOT_SENT', retryable: false });
    expect(existsSync(path.join(folder, 'argv'))).toBe(false);
  });

  it('that the program refuses may be tried again', async () => {
    const more = { sendmailPath: sendmail(75) };
    const mailer = new Mailer(settings({ transport: 'sendmail', ...more }), 'node1.test');
    await expect(mailer.send(MESSAGE)).rejects.toMatchObject({ code: 'MAIL_NOT_SENT', retryable: true });
  });
});

describe('a message sent by SMTP', () => {
  /** A server of few words. @param answers to commands by their first word */
  async function serve(answers: Record<string, string> = {}) {
    const heard: string[] = [];
    const server = net.createServer((socket) => {
      let inData = false;
      socket.on('error', () => {});
      socket.write('220 mail.test\r\n');
      socket.on('data', (chunk) => {
        for (const line of chunk.toString('utf8').split('\r\n').slice(0, -1)) {
          heard.push(line);
          if (inData && line !== '.') continue;
          const word = line === '.' && inData ? 'END' : line.split(' ')[0]!;
          inData = word === 'DATA';
          socket.write(`${answers[word] ?? (inData ? '354 go on' : '250 ok')}\r\n`);
        }
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const mailer = new Mailer(
      settings({ transport: 'smtp', smtpHost: '127.0.0.1', smtpPort: port, smtpSecurity: 'none' }),
      'node1.test',
    );
    const send = () =>
      mailer.send(MESSAGE).finally(() => {
        mailer.close();
        server.close();
      });
    return { heard, send };
  }

  it('reaches the server', async () => {
    const { heard, send } = await serve();
    await send();
    expect(heard).toContain('RCPT TO:<student@vcl.test>');
    expect(heard).toContain('Press Connect.');
  });

  it('is given up when the server refuses the recipient for good', async () => {
    const { send } = await serve({ RCPT: '550 no such user' });
    await expect(send()).rejects.toMatchObject({ code: 'MAIL_NOT_SENT', retryable: false });
  });

  it('is tried again when the server asks for patience', async () => {
    const { send } = await serve({ RCPT: '451 greylisted' });
    await expect(send()).rejects.toMatchObject({ code: 'MAIL_NOT_SENT', retryable: true });
  });

  it('is not sent in clear to a server that has no TLS, unless the configuration says so', async () => {
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.write('220 mail.test\r\n');
      socket.on('data', (chunk) => socket.write(/^STARTTLS/.test(chunk.toString()) ? '502 no\r\n' : '250 ok\r\n'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const mailer = new Mailer(settings({ transport: 'smtp', smtpHost: '127.0.0.1', smtpPort: port }), 'node1.test');
    await expect(mailer.send(MESSAGE)).rejects.toMatchObject({ code: 'MAIL_NOT_SENT' });
    mailer.close();
    server.close();
  });
});
