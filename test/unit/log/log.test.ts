import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import type { Config } from '../../../lib/config/config';
import { ProvisiondError } from '../../../lib/errors';
import { type RootLog, createLogger } from '../../../lib/log';

/** What was written while the work went on. */
async function written(config: Partial<Config['log']>, work: (log: RootLog) => void): Promise<string> {
  const stream = new PassThrough();
  const log = createLogger({ level: 'info', format: 'human', file: null, ...config }, { stream });
  work(log);
  await log.close();
  return (stream.read() as Buffer | null)?.toString() ?? '';
}

const documents = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const withoutTime = (text: string) => text.replace(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} /gm, '');

describe('a line for people', () => {
  it('has time, level, what it concerns, the message, and the details', async () => {
    const text = await written({}, (log) =>
      log.child({ request: 12 }).child({ step: 'define' }).info('defined', { domain: 'vm1', took: 3, free: 'a b' }),
    );
    expect(text).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info {2}\[request 12 step define\] defined /);
    expect(text).toMatch(/ domain=vm1 took=3 free="a b"\n$/);
  });

  it('shows an error with everything that led to it, who must act, and the remedy', async () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', port: 22 });
    const unreachable = new ProvisiondError('HOST_UNREACHABLE', 'logging in to host7', { cause: refused });
    const error = new ProvisiondError('IMAGE_COPY_FAILED', 'copying debian12 to host7', {
      cause: unreachable,
      details: { bytes: 7 },
      hint: 'Look at host7',
    });
    expect(withoutTime(await written({}, (log) => log.error('the load failed', { request: 1, error })))).toBe(
      [
        'error the load failed request=1',
        '    IMAGE_COPY_FAILED (image): copying debian12 to host7 bytes=7',
        '        hint: Look at host7',
        '        because HOST_UNREACHABLE (host): logging in to host7',
        '            hint: Check that the host is up and its sshd answers: ssh -p PORT USER@HOST true',
        '            because ECONNREFUSED: connect ECONNREFUSED port=22',
        '',
      ].join('\n'),
    );
  });

  it('says on every line of an error what it concerns, so that a search for the request finds the causes and the hint', async () => {
    const error = new ProvisiondError('IMAGE_COPY_FAILED', 'copying', { cause: new Error('no route'), hint: 'Look' });
    const text = await written({}, (log) => log.child({ request: 12 }).error('the load failed', { error }));
    const lines = text.trimEnd().split('\n');
    expect(lines).toHaveLength(4);
    for (const line of lines) expect(line).toContain('[request 12]');
    expect(lines.at(-1)).toBe('[request 12]        because no route');
  });

  it('shows the place in the program for a defect, and for nothing else', async () => {
    const defect = await written({}, (log) => log.error('failed', new TypeError('x is not a function')));
    expect(defect).toMatch(/TypeError: x is not a function\n +at .*log\.test\.ts/);
    const foreseen = new ProvisiondError('COMMAND_FAILED', 'virsh', { cause: new Error('exit code 1') });
    expect(await written({}, (log) => log.error('failed', { error: foreseen }))).not.toMatch(/\n +at /);
  });

  it('cannot be forged or broken by what was written elsewhere', async () => {
    const text = await written({}, (log) =>
      log.info('user "a\n2026 error [request 1] gone\u001b[2J"', { name: 'x\ny' }),
    );
    expect(text.split('\n')).toHaveLength(2);
    expect(text).toContain('\\n2026 error');
    expect(text).not.toContain('\u001b');
  });

  it('keeps percent signs and takes no message from the details', async () => {
    const text = withoutTime(await written({}, (log) => log.info('100 %s %d full', { message: 'second', level: 'x' })));
    expect(text).toBe('info  100 %s %d full message=second level=x\n');
  });
});

describe('a line for programs', () => {
  it('is one JSON object whose cause is not lost', async () => {
    const cause = new Error('connect', { cause: 'wire cut' });
    const error = new ProvisiondError('HOST_UNREACHABLE', 'logging in', { cause });
    const text = await written({ format: 'json' }, (log) => log.child({ request: 12 }).warn('a\nb', { error, n: 1n }));
    expect(documents(text)).toEqual([
      {
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        level: 'warn',
        message: 'a\nb',
        request: 12,
        n: '1',
        error: expect.objectContaining({
          code: 'HOST_UNREACHABLE',
          blame: 'host',
          message: 'logging in',
          hint: expect.any(String),
          cause: { message: 'connect', cause: 'wire cut' },
        }),
      },
    ]);
  });

  it('survives cycles, depth, maps, bytes, dates and odd numbers', async () => {
    const loop: Record<string, unknown> = { map: new Map([['a', new Set([1])]]), bytes: Buffer.from('abc'), nan: NaN };
    loop['self'] = loop;
    loop['date'] = new Date(0);
    let deep: object = {};
    for (let depth = 0; depth < 50; depth++) deep = { deep };
    const [document] = documents(await written({ format: 'json' }, (log) => log.info('odd', { loop, deep })));
    expect(document).toMatchObject({
      loop: { map: { a: [1] }, bytes: '[3 bytes]', nan: 'NaN', self: '[circular]', date: '1970-01-01T00:00:00.000Z' },
    });
    expect(JSON.stringify(document)).toContain('[too deep]');
  });
});

describe('secrets', () => {
  const canary = 'cAnArY-4711';

  it.each([
    ['a field', { password: canary }],
    ['a nested field', { a: [{ b: { userPassword: canary, pw: canary, privateKey: canary } }] }],
    ['a field of an error', Object.assign(new Error('no'), { sqlPassword: canary })],
    [
      'the details of a cause',
      new Error('no', { cause: new ProvisiondError('INTERNAL', 'x', { details: { token: canary } }) }),
    ],
    ['a URL in a message', new Error(`connecting to mysql://vcl:${canary}@db/vcl`)],
    ['a number', { password: 4711, note: 'nothing else' }],
    ['an assignment in a text', { stderr: `login failed, password=${canary} user=x` }],
    ['a private key', { text: `-----BEGIN OPENSSH PRIVATE KEY-----\n${canary}\n-----END OPENSSH PRIVATE KEY-----` }],
    ['a key of a map', new Map([['secret', canary]])],
  ])('in %s are not written', async (_where, details) => {
    for (const format of ['human', 'json'] as const) {
      const text = await written({ format }, (log) => log.info('a line', { details }));
      expect(text).toContain('a line');
      expect(text).toContain('[redacted');
      expect(text).not.toMatch(/cAnArY|4711/);
    }
  });

  it('that were registered are blackened wherever they stand, in children made before as well', async () => {
    const secret = 'tr(u+b$ad%r';
    for (const format of ['human', 'json'] as const) {
      const text = await written({ format }, (log) => {
        const child = log.child({ request: 1, note: secret });
        log.addSecret(secret);
        child.error(`echo ${secret} | chpasswd`, { argv: ['echo', secret], [secret]: 1, error: new Error(secret) });
        child.info(`url ${encodeURIComponent(secret)}`);
      });
      expect(text).not.toContain('u+b');
      expect(text).not.toContain('u%2Bb');
      expect(text.split('[redacted]').length).toBeGreaterThan(5);
    }
  });

  it('do not blacken what only sounds like one', async () => {
    const details = { passwordLength: 12, keyFiles: ['/etc/vcl/vcl.key'], token: 7, hostKey: 'SHA256:abc', ok: true };
    const [document] = documents(
      await written({ format: 'json' }, (log) => {
        log.addSecret('abc');
        log.info('x', details);
      }),
    );
    expect(document).toMatchObject(details);
  });
});

describe('the logger', () => {
  it('leaves out what is less important than its level', async () => {
    const text = await written({ level: 'warn' }, (log) => {
      log.debug('one');
      log.info('two');
      log.warn('three');
      log.error('four');
    });
    expect(withoutTime(text)).toBe('warn  three\nerror four\n');
  });

  it('has written everything to its file when it is closed, and adds to what is there', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'provisiond-log-'));
    const file = path.join(folder, 'sub', 'provisiond.log');
    for (let round = 0; round < 2; round++) {
      const log = createLogger({ level: 'info', format: 'json', file });
      for (let line = 0; line < 500; line++) log.info('line', { round, line });
      await log.close();
    }
    const lines = documents(fs.readFileSync(file, 'utf8'));
    expect(lines).toHaveLength(1000);
    expect(lines.at(-1)).toMatchObject({ round: 1, line: 499 });
    expect(fs.statSync(file).mode & 0o007).toBe(0);
    fs.rmSync(folder, { recursive: true });
  });
});
