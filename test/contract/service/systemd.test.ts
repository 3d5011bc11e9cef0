/** The daemon as a service: what systemd hears from it, what SIGHUP does, and what the unit allows it. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { eventually } from '../../support/eventually';
import { NotifySocket } from '../../support/notify-socket';
import { Program, type Running, builtProgram } from '../cli/program';

const CONF = path.resolve(__dirname, '../../../conf');

describe('a daemon that systemd started', () => {
  let systemd: NotifySocket;
  let program: Program;
  let configFile: string;
  let logFile: string;
  let running: Running | undefined;

  beforeEach(async () => {
    systemd = await NotifySocket.open();
    program = new Program(builtProgram());
    [configFile, logFile] = [program.file('provisiond.yaml'), program.file('provisiond.log')];
    configure({});
    await program.run('init', '--config', configFile);
  });

  afterEach(async () => {
    running?.child.kill('SIGTERM');
    await running?.ended;
    running = undefined;
    program.end();
    systemd.close();
  });

  function configure(more: Record<string, unknown>, log: Record<string, unknown> = {}): void {
    const settings = { pollIntervalMs: 100, ...more, log: { level: 'info', file: logFile, ...log } };
    writeFileSync(configFile, JSON.stringify(settings));
  }

  function start(env: Record<string, string> = {}): Running {
    running = program.start(['run', '--config', configFile], { NOTIFY_SOCKET: systemd.path, ...env });
    return running;
  }

  const log = () => (existsSync(logFile) ? readFileSync(logFile, 'utf8') : '');

  it('says that it is ready after its first look at the inbox, and that it stops', async () => {
    const { child, ended } = start();
    expect(await systemd.hear(/READY=1/)).toBe('READY=1|STATUS=works the inbox');
    await eventually(() => log().includes('this daemon is active now')); // a file is written behind the work
    child.kill('SIGTERM');
    await systemd.hear(/STOPPING=1/);
    expect((await ended).exitCode).toBe(0);
  });

  it('feeds the watchdog while its loop gets on, and no longer when it hangs', async () => {
    const { child } = start({ WATCHDOG_USEC: '1500000' });
    await systemd.hear(/READY=1/);
    const fed = () => systemd.texts.filter((text) => text === 'WATCHDOG=1').length;
    await eventually(() => fed() >= 4);
    child.kill('SIGSTOP'); // as a hanging loop looks from outside
    await new Promise((resolve) => setTimeout(resolve, 800));
    const before = fed();
    await new Promise((resolve) => setTimeout(resolve, 2000));
    expect(fed()).toBe(before);
    child.kill('SIGCONT');
    await eventually(() => fed() > before);
  });

  it('is ready as standby too, and says so; when the other ends it works the inbox', async () => {
    const first = program.start(['run', '--config', configFile]);
    await eventually(() => log().includes('this daemon is active now'));
    start();
    expect(await systemd.hear(/READY=1/)).toContain('waits for the lease');
    first.child.kill('SIGTERM');
    await first.ended;
    await systemd.hear(/STATUS=works the inbox/);
  });

  it('does not say that it is ready when its configuration is wrong, and ends with the code that systemd heeds', async () => {
    writeFileSync(configFile, 'pollIntervalMs: never\n');
    const { exitCode } = await start().ended;
    running = undefined;
    expect(exitCode).toBe(78);
    expect(systemd.texts).toEqual([]);
    const unit = readFileSync(path.join(CONF, 'provisiond.service'), 'utf8');
    expect(unit).toMatch(/^RestartPreventExitStatus=78$/m);
  });

  it('reads its configuration again on SIGHUP, without a pause, and says what waits for the next start', async () => {
    const { child } = start();
    await systemd.hear(/READY=1/);
    configure({ maxLoads: 3, leaseSeconds: 60 }, { level: 'debug', format: 'json' });
    child.kill('SIGHUP');
    expect(await systemd.hear(/RELOADING=1/)).toMatch(/^RELOADING=1\|MONOTONIC_USEC=\d+$/);
    await eventually(() => systemd.texts.at(-1) === 'READY=1');
    const lines = log()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    const said = lines.map((line) => JSON.parse(line) as { message: string; changed?: string; keys?: string });
    expect(said.find(({ message }) => message.includes('read again'))?.changed).toMatch(/maxLoads/);
    expect(said.find(({ message }) => message.includes('next start'))?.keys).toBe('leaseSeconds');
  });

  it('keeps what is in force when the new configuration has a mistake', async () => {
    const { child } = start();
    await systemd.hear(/READY=1/);
    writeFileSync(configFile, JSON.stringify({ maxloads: 3, log: { file: logFile } }));
    child.kill('SIGHUP');
    await eventually(() => log().includes('what was in force stays'));
    expect(log()).toContain('did you mean maxLoads?');
    expect(child.exitCode).toBeNull();
  });

  it('opens its log anew on SIGHUP, so that one that was moved away can be packed', async () => {
    const { child } = start();
    await systemd.hear(/READY=1/);
    renameSync(logFile, `${logFile}.1`);
    child.kill('SIGHUP');
    await eventually(() => log().includes('the configuration was read again'));
    expect(readFileSync(`${logFile}.1`, 'utf8')).not.toContain('read again');
  });

  it('takes the password of the database and the key from the credentials that systemd hands over', async () => {
    const credentials = program.file('credentials');
    mkdirSync(credentials);
    writeFileSync(path.join(credentials, 'ssh-key'), '', { mode: 0o400 }); // empty: there is none
    writeFileSync(path.join(credentials, 'database-password'), 'from-systemd\n', { mode: 0o400 });
    const env = { CREDENTIALS_DIRECTORY: credentials, PROVISIOND_DATABASE: 'mysql://vcl@127.0.0.1:1/vcl' };
    const shown = await program.start(['config', '--json'], env).ended;
    expect(shown.stdout + shown.stderr).not.toContain('from-systemd');
    expect(shown.exitCode).toBe(0);
  });
});

describe('the unit of systemd', () => {
  it('exposes less than 2.0 by systemd-analyze', () => {
    const unit = path.join(CONF, 'provisiond.service');
    const said = execFileSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', unit], {
      encoding: 'utf8',
    });
    expect(Number(/Overall exposure level for \S+: ([\d.]+)/.exec(said)?.[1])).toBeLessThanOrEqual(2.0);
  });

  it('names nothing that systemd does not know', () => {
    const said = spawnSync('systemd-analyze', ['verify', '--man=no', path.join(CONF, 'provisiond.service')], {
      encoding: 'utf8',
    });
    const complaints = said.stderr.split('\n').filter((line) => line !== '' && !line.includes('is not executable'));
    expect(complaints.filter((line) => line.includes('provisiond'))).toEqual([]);
  });

  it('finds its account and its folders as sysusers and tmpfiles make them', () => {
    const read = (name: string) => readFileSync(path.join(CONF, name), 'utf8');
    expect(read('provisiond.service')).toMatch(/^User=provisiond$/m);
    expect(read('provisiond.sysusers')).toMatch(/^u provisiond /m);
    const credentials = [...read('provisiond.service').matchAll(/^LoadCredential=\S+:(\S+)$/gm)].map(
      ([, file]) => file,
    );
    expect(credentials).toHaveLength(2);
    for (const file of credentials) expect(read('provisiond.tmpfiles')).toContain(`f ${file} 0600 root root`);
  });
});
