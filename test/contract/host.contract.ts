/** What every Host promises; run on each implementation with the real programs of the machine behind it. */
import { describe, expect, it } from '@jest/globals';
import { type ErrorCode, ProvisiondError } from '../../lib/errors';
import { type Host, script } from '../../lib/host/host';
import { eventually } from '../support/eventually';
import { PATIENCE } from '../support/patience';

export const NASTY_WORDS = [
  '',
  ' ',
  "it's",
  '"quoted"',
  '$(touch /tmp/owned)',
  '`id`',
  '$HOME',
  '\\',
  '\n',
  'two\nlines\n',
  '\ttab',
  '-n',
  '--help',
  '*',
  '~',
  '; rm -rf /',
  '&& false',
  '| cat',
  '> /tmp/owned',
  '<x/>',
  '!!',
  'a=b',
  '#comment',
  "'",
  "''",
  "\\'",
  'ü€😀',
  '\u0001\u007f',
  'x'.repeat(10_000),
];

/** The ProvisiondError that a promise is rejected with; fails the test when it has another code. */
export async function failure(promise: Promise<unknown>, code: ErrorCode): Promise<ProvisiondError> {
  const error: unknown = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ProvisiondError) || error.code !== code) throw error;
  return error;
}

async function isAlive(host: Host, pid: string): Promise<boolean> {
  const { stdout } = await host.run(script('kill -0 "$1" 2>/dev/null && echo yes || echo no', pid));
  return stdout.trim() === 'yes';
}

export function describeHost(title: string, getHost: () => Host): void {
  describe(`${title} as a host`, () => {
    const run: Host['run'] = (argv, options) => getHost().run(argv, options);

    it('hands every argument over as it is, whatever characters it holds', async () => {
      const { stdout } = await run(script('for word; do printf "%s\\0" "$word"; done', ...NASTY_WORDS));
      expect(stdout.split('\0').slice(0, -1)).toEqual(NASTY_WORDS);
    });

    it('refuses an argument with a NUL, which no program could receive', async () => {
      await failure(run(['printf', 'a\0b']), 'INTERNAL');
    });

    it('refuses an empty command', async () => {
      await failure(run([]), 'INTERNAL');
    });

    it('feeds standard input and closes it', async () => {
      const text = 'first\nsecond\n';
      expect((await run(['cat'], { stdin: text })).stdout).toBe(text);
      expect((await run(['cat'])).stdout).toBe('');
    });

    it('survives a command that ends without reading its input', async () => {
      expect((await run(['true'], { stdin: Buffer.alloc(1_000_000, 'x') })).exitCode).toBe(0);
    });

    it('hands over binary input byte for byte', async () => {
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
      const { stdout } = await run(['sha256sum'], { stdin: bytes });
      expect(stdout.split(' ')[0]).toBe('40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880');
    });

    it('keeps both streams apart and reads them to their ends', async () => {
      const { stdout, stderr } = await run(
        script('head -c 3000000 /dev/zero | tr "\\0" o; head -c 2000000 /dev/zero | tr "\\0" e >&2'),
      );
      expect([stdout.length, /^o*$/.test(stdout)]).toEqual([3_000_000, true]);
      expect([stderr.length, /^e*$/.test(stderr)]).toEqual([2_000_000, true]);
    });

    it('shows standard output as it comes, and all of it at the end', async () => {
      const chunks: string[] = [];
      const { stdout } = await run(script('echo one; sleep 0.1; echo two'), {
        onStdout: (chunk) => chunks.push(chunk),
      });
      expect(stdout).toBe('one\ntwo\n');
      expect(chunks.join('')).toBe(stdout);
      expect(chunks.length).toBeGreaterThan(1);
    });

    it('speaks the C locale, so that messages can be read by a program', async () => {
      expect((await run(script('echo "$LC_ALL"'))).stdout).toBe('C\n');
      const { stderr } = await run(['ls', '/no/such/folder'], { expect: 'any' });
      expect(stderr).toContain('No such file or directory');
    });

    it('reports an exit code that was not expected with the command, the code and what it said', async () => {
      const error = await failure(run(script('echo said >&2; exit 3')), 'COMMAND_FAILED');
      expect(error.details).toMatchObject({ exitCode: 3, stderr: 'said\n', host: getHost().name });
      expect(error.message).toContain('exit code 3');
      expect(error.message).toContain('said');
    });

    it('takes the exit codes it was told to expect as answers', async () => {
      expect((await run(script('exit 3'), { expect: [0, 3] })).exitCode).toBe(3);
      expect((await run(script('exit 250'), { expect: 'any' })).exitCode).toBe(250);
      await failure(run(['true'], { expect: [1] }), 'COMMAND_FAILED');
    });

    it('answers 127 for a program that is not there', async () => {
      const { exitCode, stderr } = await run(['no-such-program-anywhere'], { expect: 'any' });
      expect(exitCode).toBe(127);
      expect(stderr).toMatch(/not found|No such file/);
    });

    it('shows the death of a command by a signal as a shell does', async () => {
      expect((await run(script('kill -KILL $$'), { expect: 'any' })).exitCode).toBe(137);
    });

    it('gives up at the deadline, and the command that overran ends soon after', async () => {
      let pid = '';
      const startedAt = performance.now();
      const call = run(script('echo $$; exec sleep 300'), { timeoutMs: 400, onStdout: (chunk) => (pid += chunk) });
      const error = await failure(call, 'COMMAND_TIMEOUT');
      expect(performance.now() - startedAt).toBeLessThan(1_500 * PATIENCE);
      expect(error.message).toContain('400 ms');
      await eventually(async () => !(await isAlive(getHost(), pid.trim())));
    });

    it('ends at once with the reason when it is aborted', async () => {
      const abort = new AbortController();
      const reason = new Error('the daemon stops');
      setTimeout(() => abort.abort(reason), 200);
      const startedAt = performance.now();
      await expect(run(['sleep', '50'], { signal: abort.signal })).rejects.toBe(reason);
      expect(performance.now() - startedAt).toBeLessThan(1_000 * PATIENCE);
    });

    it('does not even begin when it is aborted already', async () => {
      const reason = new Error('stopped');
      await expect(run(['true'], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    });

    it('runs many commands at once and mixes up none', async () => {
      const numbers = Array.from({ length: 24 }, (_, index) => index);
      const results = await Promise.all(numbers.map((n) => run(script('sleep 0.05; echo "$1"', n))));
      expect(results.map(({ stdout }) => Number(stdout))).toEqual(numbers);
    });
  });
}
