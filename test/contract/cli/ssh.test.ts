/** Hosts and images over a real sshd. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { uploadImage } from '../../../lib/cli/image-upload';
import { ProvisiondError } from '../../../lib/errors';
import type { ClosableHost } from '../../../lib/host/host';
import { LocalHost } from '../../../lib/host/local-host';
import { SshHost } from '../../../lib/host/ssh-host';
import { type PrivateSshd, startSshd } from '../../support/sshd';
import { Program, builtProgram } from './program';

jest.setTimeout(60_000);

let sshd: PrivateSshd;
let folder: string;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd.stop());
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'provisiond upload '));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

function reach(transport: 'ssh' | 'local'): ClosableHost {
  if (transport === 'local') return new LocalHost();
  const { address, port, user, hostKey, keyFile } = sshd;
  return new SshHost({ name: 'kvm1', address, port, user, hostKey, keyFiles: [keyFile] });
}

describe.each(['ssh', 'local'] as const)('an image brought to a host (%s)', (transport) => {
  let host: ClosableHost;
  beforeEach(() => {
    host = reach(transport);
  });
  const options = { transport, timeoutMs: 30_000 };
  const source = (bytes: Buffer) => {
    const file = path.join(folder, 'a file.qcow2');
    fs.writeFileSync(file, bytes);
    return file;
  };

  it('has its name only when it is there as a whole, read-only', async () => {
    const bytes = randomBytes(19 * 2 ** 20 + 7);
    const target = path.join(folder, 'new/images');
    const upload = await uploadImage(host, source(bytes), target, options);
    expect(fs.readdirSync(target)).toEqual([expect.stringMatching(/^\.provisiond-[0-9a-f]{12}\.part$/)]);
    const file = await upload.publish('image-v0.qcow2');
    expect(fs.readdirSync(target)).toEqual(['image-v0.qcow2']);
    expect(fs.readFileSync(file).equals(bytes)).toBe(true);
    expect(fs.statSync(file).mode & 0o777).toBe(0o444);
    await host.close();
  });

  it('never takes the place of another file', async () => {
    const target = path.join(folder, 'images');
    fs.mkdirSync(target);
    fs.writeFileSync(path.join(target, 'taken.qcow2'), 'of somebody else');
    const upload = await uploadImage(host, source(Buffer.from('mine')), target, options);
    await expect(upload.publish('taken.qcow2')).rejects.toMatchObject({ code: 'CONFLICT' });
    await upload.discard();
    expect(fs.readdirSync(target)).toEqual(['taken.qcow2']);
    expect(fs.readFileSync(path.join(target, 'taken.qcow2'), 'utf8')).toBe('of somebody else');
    await host.close();
  });

  it('is refused before it is sent when there is no room, and leaves nothing', async () => {
    const small = path.join(folder, 'small');
    fs.mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
    try {
      const thrown = await uploadImage(host, source(randomBytes(2 ** 21)), small, options).catch(
        (error: unknown) => error,
      );
      expect(thrown).toBeInstanceOf(ProvisiondError);
      expect(thrown).toMatchObject({ code: 'HOST_DISK_FULL', message: expect.stringMatching(/1 MiB free.* needs 2/) });
      expect(fs.readdirSync(small)).toEqual([]);
    } finally {
      await host.close();
      execFileSync('umount', [small]);
    }
  });
});

describe('a connection that breaks', () => {
  it('in the middle of an image costs only the piece that was on its way', async () => {
    const host = reach('ssh');
    const bytes = randomBytes(40 * 2 ** 20);
    const file = path.join(folder, 'big');
    fs.writeFileSync(file, bytes);
    let broken = 0;
    const upload = await uploadImage(host, file, path.join(folder, 'images'), {
      transport: 'ssh',
      timeoutMs: 30_000,
      onProgress: () => {
        if (++broken === 2) setTimeout(() => sshd.killSessions(), 5);
      },
    });
    expect(fs.readFileSync(await upload.publish('big.qcow2')).equals(bytes)).toBe(true);
    await host.close();
  });
});

describe('host add over ssh', () => {
  let program: Program;
  const run = (...args: string[]) => program.start(args, { PROVISIOND_SSH_KEY_FILES: sshd.keyFile }).ended;
  const add = (...more: string[]) => {
    const way = ['--address', sshd.address, '--port', String(sshd.port), '--user', sshd.user];
    const profile = ['--datastore', program.file('images'), '--private-network', 'a', '--public-network', 'b'];
    return run('host', 'add', 'kvm1', ...way, ...profile, ...more);
  };
  beforeAll(async () => {
    program = new Program(builtProgram());
    await run('init');
  });
  afterAll(() => program.end());

  it('shows the key and how to pin it, and enters nothing, until a person has decided', async () => {
    const { exitCode, stderr } = await add();
    expect(exitCode).toBe(78);
    expect(stderr).toContain(`--host-key ${sshd.hostKey}`);
    expect((await run('list', 'hosts')).stdout).toBe('none\n');
  });

  it('refuses a host that shows another key than the one given', async () => {
    const { exitCode, stderr } = await add('--host-key', `SHA256:${'A'.repeat(43)}`);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(sshd.hostKey)]);
    expect((await run('list', 'hosts')).stdout).toBe('none\n');
  });

  it('pins the key that was compared, and keeps it when something else is changed', async () => {
    expect((await add('--host-key', sshd.hostKey)).exitCode).toBe(0);
    expect((await run('host', 'add', 'kvm1', '--max-loads', '2', '--ram', '4096', '--cpus', '4')).exitCode).toBe(0);
    const [host] = JSON.parse((await run('list', 'hosts', '--json')).stdout) as object[];
    expect(host).toMatchObject({ hostKey: sshd.hostKey, port: sshd.port, facts: { connection: { maxLoads: 2 } } });
  });

  it('lets images be added through it', async () => {
    const file = program.file('a.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '5M']);
    const { exitCode, stdout } = await run('image', 'add', file, '--name', 'Tiny');
    expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/^image "Tiny" is .*\.qcow2 on kvm1\n$/)]);
    expect(fs.readdirSync(program.file('images'))).toHaveLength(1);
  });
});
