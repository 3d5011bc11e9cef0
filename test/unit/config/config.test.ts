import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { renderDefaults } from '../../../lib/config/document';
import { databasePassword, loadConfig } from '../../../lib/config/load';
import { editDistance, nearestWord } from '../../../lib/config/nearest';
import { SETTING_KEYS, environmentName } from '../../../lib/config/schema';
import { ProvisiondError } from '../../../lib/errors';

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'provisiond-config-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

function write(text: string, name = 'provisiond.yaml', mode = 0o600): string {
  const file = path.join(folder, name);
  fs.writeFileSync(file, text);
  fs.chmodSync(file, mode);
  return file;
}

function load(text: string, env: Record<string, string> = {}, mode = 0o600) {
  return loadConfig({ file: write(text, undefined, mode), env, hostname: 'node7.example.org', folder }).config;
}

function problemsOf(text: string, env: Record<string, string> = {}, mode = 0o600): string[] {
  try {
    load(text, env, mode);
    return [];
  } catch (error) {
    if (!(error instanceof ProvisiondError)) throw error;
    expect(error.code).toBe('CONFIG_INVALID');
    return (error.details['problems'] as string[]).map((problem) => problem.replaceAll(`${folder}/`, ''));
  }
}

describe('a configuration without anything', () => {
  it('has a value for every key, and an SQLite database in the state folder', () => {
    expect(load('')).toEqual({
      stateDir: '/var/lib/provisiond',
      metrics: null,
      http: null,
      database: 'sqlite:/var/lib/provisiond/provisiond.db',
      managementNode: 'node7.example.org',
      pluginDirs: [],
      osModules: {
        'VCL::Module::OS::Linux': 'linux',
        'VCL::Module::OS::Linux::Ubuntu': 'linux',
        'VCL::Module::OS::Windows': 'windows',
      },
      predictiveModules: {
        'VCL::Module::Predictive::Level_0': 'level-0',
        'VCL::Module::Predictive::Level_1': 'level-1',
        'VCL::Module::Predictive::Level_2': 'level-2',
      },
      pollIntervalMs: 250,
      maxLoads: 10,
      maxLoadsPerHost: 4,
      leaseSeconds: 30,
      retryAttempts: 3,
      retryDelayMs: 5000,
      userPasswordLength: 12,
      xmlDirectory: '/tmp/vcl',
      sshKeyFiles: [
        '/etc/provisiond/ssh-key',
        '/etc/vcl/vcl.key',
        ...['id_ed25519', 'id_ecdsa', 'id_rsa'].map((name) => path.join(os.homedir(), '.ssh', name)),
      ],
      sshMaxChannels: 8,
      sshConnectTimeoutMs: 10_000,
      commandTimeoutMs: 60_000,
      imageTimeoutMs: 3_600_000,
      imageCheckAtUse: 'stamp',
      hookTimeoutMs: 3_900_000,
      guestBootTimeoutMs: 600_000,
      guestCommandTimeoutMs: 300_000,
      guestShutdownTimeoutMs: 180_000,
      vmWatchIntervalMs: 60_000,
      operationRetentionDays: 30,
      startProofMs: 10_000,
      trashDays: 7,
      volumeQuotaMiB: 0,
      xmlrpc: { url: null, user: 'vclsystem@Local', password: null, caFile: null, timeoutMs: 120_000 },
      mail: {
        ...{ transport: 'off', from: null, returnPath: null, sendmailPath: '/usr/sbin/sendmail' },
        ...{ smtpHost: 'localhost', smtpPort: 25, smtpSecurity: 'starttls', smtpUser: null, smtpPassword: null },
        ...{ caFile: null, giveUpMs: 86_400_000 },
      },
      scripts: {
        onNode: ['/etc/provisiond/scripts/node'],
        inGuest: ['/etc/provisiond/scripts/guest'],
        timeoutMs: 300_000,
      },
      log: { level: 'info', format: 'human', file: null },
    });
  });

  it('cannot be changed by whoever holds it, at any depth', () => {
    const config = load('');
    expect([config, config.log, config.osModules, config.sshKeyFiles].every(Object.isFrozen)).toBe(true);
  });
});

describe('the address of the front end', () => {
  const url = (value: string) => load(`xmlrpc:\n  url: ${value}\n`).xmlrpc.url;

  it('is https, or http of this machine', () => {
    expect(url('https://vcl.example.org/vcl/index.php?mode=xmlrpccall')).toMatch(/^https:/);
    expect(url('http://127.0.0.1:8080/rpc')).toMatch(/^http:/);
  });

  it('is refused where the password would go over the network in clear', () => {
    const said = 'xmlrpc.url (provisiond.yaml line 2): must be an https:// address, or http:// of this machine';
    expect(problemsOf('xmlrpc:\n  url: http://vcl.example.org/rpc\n')).toEqual([expect.stringContaining(said)]);
  });

  it('may have its password in a file that nobody else can read', () => {
    const text = 'xmlrpc:\n  password: secret\n';
    expect(load(text).xmlrpc.password).toBe('secret');
    const problem =
      'provisiond.yaml holds a password and everybody may read it; chmod o= provisiond.yaml, or use PROVISIOND_XMLRPC_PASSWORD_FILE';
    expect(problemsOf(text, {}, 0o644)).toEqual([problem]);
  });
});

describe('values', () => {
  it('come from the environment before the file, and from the file before the default', () => {
    const config = load('maxLoads: 5\nleaseSeconds: 20\n', { PROVISIOND_MAX_LOADS: '7' });
    expect([config.maxLoads, config.leaseSeconds, config.maxLoadsPerHost]).toEqual([7, 20, 4]);
  });

  it('tell where they came from, down to the line', () => {
    const env = { PROVISIOND_LOG_FORMAT: 'json' };
    const { origins } = loadConfig({ file: write('# first\nlog:\n  level: warn\n'), env });
    expect(origins.get('log.level')).toBe(`${folder}/provisiond.yaml line 3`);
    expect(origins.get('log.format')).toBe('PROVISIOND_LOG_FORMAT');
    expect(origins.get('maxLoads')).toBeUndefined();
  });

  it('have a variable each, lists by colons and maps by equals signs', () => {
    expect(new Set(SETTING_KEYS.map(environmentName)).size).toBe(SETTING_KEYS.length);
    expect(environmentName('maxLoadsPerHost')).toBe('PROVISIOND_MAX_LOADS_PER_HOST');
    expect(environmentName('volumeQuotaMiB')).toBe('PROVISIOND_VOLUME_QUOTA_MIB');
    const config = load('', {
      PROVISIOND_SSH_KEY_FILES: '/a/key:relative/key',
      PROVISIOND_OS_MODULES: 'VCL::Module::OS::Windows=windows',
      PROVISIOND_LOG_LEVEL: 'debug',
    });
    expect(config.sshKeyFiles).toEqual(['/a/key', path.join(folder, 'relative/key')]);
    expect(config.osModules).toMatchObject({
      'VCL::Module::OS::Linux': 'linux',
      'VCL::Module::OS::Windows': 'windows',
    });
    expect(config.log.level).toBe('debug');
  });

  it('that are paths are relative to the file that names them, and ~ is the home', () => {
    const config = load('stateDir: state\npluginDirs: [~/plugins]\n');
    expect(config.stateDir).toBe(path.join(folder, 'state'));
    expect(config.database).toBe(`sqlite:${folder}/state/provisiond.db`);
    expect(config.pluginDirs).toEqual([path.join(os.homedir(), 'plugins')]);
  });

  it('left empty in the file are the defaults', () => {
    expect(load('maxLoads:\nlog:\nmanagementNode: ~\n')).toEqual(load(''));
  });
});

describe('problems', () => {
  it('are told all at once, each with its place and what would be right', () => {
    const text = ['maxLoads: many', 'polIntervalMs: 100', 'log:', '  levle: info', '  format: xml'].join('\n');
    expect(problemsOf(text, { PROVISIOND_LEASE_SECONDS: '1', PROVISIOND_MAX_LODS: '3' })).toEqual([
      'polIntervalMs (provisiond.yaml line 2): there is no such key; did you mean pollIntervalMs?',
      'log.levle (provisiond.yaml line 4): there is no such key; did you mean log.level?',
      'PROVISIOND_MAX_LODS: there is no such environment variable; did you mean PROVISIOND_MAX_LOADS?',
      'maxLoads (provisiond.yaml line 1): must be a whole number from 1 to 1000, not "many"',
      'log.format (provisiond.yaml line 5): must be one of human, json, not "xml"',
      'leaseSeconds (PROVISIOND_LEASE_SECONDS): must be a whole number of seconds from 2 to 3600, not "1"',
    ]);
  });

  it.each([
    ['level: debug', 'level (provisiond.yaml line 1): there is no such key; did you mean log.level?'],
    ['colour: blue', 'colour (provisiond.yaml line 1): there is no such key'],
    ['log: debug', 'log (provisiond.yaml line 1): must be a map of keys and values'],
    ['- a\n- b', 'provisiond.yaml: must be a map of keys and values'],
    ['maxLoads: 1\nmaxLoads: 2', 'provisiond.yaml: Map keys must be unique at line 2, column 1'],
    ['a: [1', 'provisiond.yaml: Flow sequence in block collection must be sufficiently indented and end with a ]'],
    ['xmlDirectory: tmp', 'xmlDirectory (provisiond.yaml line 1): must be an absolute path of letters'],
    ['managementNode: a b', 'managementNode (provisiond.yaml line 1): must be a host name'],
    ['maxLoads: 2.5', 'maxLoads (provisiond.yaml line 1): must be a whole number from 1 to 1000, not 2.5'],
    ['sshKeyFiles: {a: b}', 'sshKeyFiles (provisiond.yaml line 1): must be a list of paths'],
    ['osModules: [linux]', 'osModules (provisiond.yaml line 1): must be a map of names'],
    ['database: postgres://x/y', 'database (provisiond.yaml line 1): must be sqlite:PATH or mysql://'],
    ['database: mysql://host', 'database (provisiond.yaml line 1): must be sqlite:PATH or mysql://'],
  ])('%j is refused', (text, problem) => {
    expect(problemsOf(text)).toEqual([expect.stringContaining(problem)]);
  });

  it('with a file that was asked for and is not there are not passed over', () => {
    expect(() => loadConfig({ env: { PROVISIOND_CONFIG: '/nowhere/provisiond.yaml' } })).toThrow(
      'cannot read /nowhere/provisiond.yaml: ENOENT',
    );
  });

  it('never quote a value that may hold a password', () => {
    const problems = problemsOf('database: "mysql//vcl:canary-1@db/vcl"', { PROVISIOND_DATABASE: 'mysql:canary-2' });
    expect(problems).toHaveLength(2);
    expect(problems.join()).not.toMatch(/canary/);
    expect(problemsOf('database: {mysql://vcl:canary-3@db/vcl').join()).not.toMatch(/canary/);
  });
});

describe('the password of the database', () => {
  const url = 'mysql://vcl@db.example.org/vcl';

  it('comes from a file of its own, with any character in it', () => {
    const password = 'p@ss:w/rd%20#é';
    const config = load(`database: ${url}\ndatabasePasswordFile: ${write(`${password}\n`, 'password')}`);
    expect(databasePassword(config.database)).toBe(password);
    expect(config).not.toHaveProperty('databasePasswordFile');
  });

  it('may be in the file that holds the whole URL', () => {
    const file = write(`mysql://vcl:secret@db/vcl\n`, 'url');
    expect(load('', { PROVISIOND_DATABASE_FILE: file }).database).toBe('mysql://vcl:secret@db/vcl');
    expect(load('', { PROVISIOND_DATABASE: url, PROVISIOND_DATABASE_PASSWORD_FILE: file }).database).toMatch(/^mysql:/);
  });

  it('is not taken from a file that everybody may read', () => {
    expect(problemsOf('database: mysql://vcl:secret@db/vcl', {}, 0o644)).toEqual([
      expect.stringContaining('provisiond.yaml holds a password and everybody may read it; chmod o='),
    ]);
    const file = write('secret', 'password', 0o644);
    expect(problemsOf(`database: ${url}\ndatabasePasswordFile: ${file}`)).toEqual([
      expect.stringContaining('databasePasswordFile: everybody may read password; chmod o= password'),
    ]);
    expect(load(`database: ${url}`, {}, 0o644).database).toBe(url);
  });

  it('must be given once, to a database that has one, and not be empty', () => {
    const file = write('secret', 'password');
    expect(problemsOf(`databasePasswordFile: ${file}`)).toEqual([
      'databasePasswordFile: an SQLite database has no password',
    ]);
    expect(problemsOf(`database: mysql://vcl:one@db/vcl\ndatabasePasswordFile: ${file}`)).toEqual([
      'database: has a password, and databasePasswordFile is set too',
    ]);
    expect(problemsOf(`database: ${url}\ndatabasePasswordFile: ${write('\n', 'empty')}`)).toEqual([
      'databasePasswordFile: empty is empty',
    ]);
    expect(problemsOf('', { PROVISIOND_DATABASE: url, PROVISIOND_DATABASE_FILE: file })).toContain(
      'database: set PROVISIOND_DATABASE or PROVISIOND_DATABASE_FILE, not both',
    );
  });
});

describe('conf/provisiond.yaml', () => {
  const shipped = fs.readFileSync(path.join(__dirname, '../../../conf/provisiond.yaml'), 'utf8');

  it('is what the table of settings makes of itself (provisiond config --defaults > conf/provisiond.yaml)', () => {
    expect(shipped).toBe(renderDefaults());
  });

  it('changes nothing as it is, and nothing when every key in it is switched on', () => {
    expect(load(shipped)).toEqual(load(''));
    const switchedOn = shipped.replace(/^#(?=[a-z]| {2})/gim, '').replace(/^managementNode:.*$/m, '');
    expect(load(switchedOn)).toEqual(load(''));
    for (const key of SETTING_KEYS) expect(switchedOn).toContain(environmentName(key));
  });
});

describe('the nearest word', () => {
  it('is found across letters left out, added, changed and swapped', () => {
    expect(['lease', 'leasse', 'leaze', 'laese'].map((word) => editDistance(word, 'lease'))).toEqual([0, 1, 1, 1]);
    expect(nearestWord('maxloadsperhots', SETTING_KEYS, 3)).toBe('maxLoadsPerHost');
    expect(nearestWord('colour', SETTING_KEYS, 3)).toBeUndefined();
  });
});
