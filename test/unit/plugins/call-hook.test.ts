import { describe, expect, it } from '@jest/globals';
import { ProvisiondError } from '../../../lib/errors';
import type { DomainXml, DriverContext, HypervisorDriver, OsContext, OsModule } from '../../../lib/plugins/api';
import { guardDriver, guardOsModule } from '../../../lib/plugins/call-hook';
import { MemoryLog } from '../../fixtures/memory-log';

const LIMITS = { hookTimeoutMs: 100, graceMs: 50 };
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function guarded(stages: Partial<OsModule>): Required<OsModule> {
  const plugin = { apiVersion: 1, name: 'odd', ...stages } as OsModule;
  return guardOsModule({ kind: 'os-module', file: '/p/odd.js', version: '1', plugin }, LIMITS) as Required<OsModule>;
}

function context(signal = new AbortController().signal, log = new MemoryLog()): OsContext {
  return { reservation: {}, guest: {}, log, signal } as unknown as OsContext;
}

describe('a call of a hook', () => {
  it('blames the plugin for what it throws, names plugin, file and hook, and keeps the cause', async () => {
    const cause = new Error('division by zero');
    const module = guarded({ postLoad: () => Promise.reject(cause) });
    const error = {
      code: 'PLUGIN_FAILED',
      blame: 'plugin',
      cause,
      details: { plugin: 'odd', file: '/p/odd.js', hook: 'postLoad' },
    };
    await expect(module.postLoad(context())).rejects.toMatchObject(error);
    await expect(module.postLoad(context())).rejects.toThrow(`postLoad of os-module 'odd' (/p/odd.js) failed`);
  });

  it('lets the error of a verb through as it is', async () => {
    const error = new ProvisiondError('HOST_DISK_FULL', 'no space');
    await expect(guarded({ postLoad: () => Promise.reject(error) }).postLoad(context())).rejects.toBe(error);
  });

  it('lets a plugin say whom its error concerns, but never the daemon', async () => {
    const failing = (code: string) =>
      guarded({ postLoad: () => Promise.reject(Object.assign(new Error('bad'), { code })) });
    await expect(failing('REQUEST_INVALID').postLoad(context())).rejects.toMatchObject({
      blame: 'request',
      message: 'bad',
    });
    await expect(failing('LEASE_LOST').postLoad(context())).rejects.toMatchObject({ code: 'PLUGIN_FAILED' });
    await expect(failing('ENOENT').postLoad(context())).rejects.toMatchObject({ code: 'PLUGIN_FAILED' });
  });

  it('has a time limit, tells the hook by its signal, and does not wait for one that does not care', async () => {
    let told = false;
    const module = guarded({
      postLoad: ({ signal }) => new Promise(() => signal.addEventListener('abort', () => (told = true))),
    });
    await expect(module.postLoad(context())).rejects.toMatchObject({ code: 'PLUGIN_TIMEOUT' });
    expect(told).toBe(true);
  });

  it('has a time limit in an endless loop too, while the daemon goes on', async () => {
    const module = guarded({
      postLoad: () => {
        for (;;);
      },
    });
    await expect(module.postLoad(context())).rejects.toMatchObject({ code: 'PLUGIN_TIMEOUT' });
  });

  it('ends with the reason of an abort, after the hook came to its end', async () => {
    const abort = new AbortController();
    let ended = false;
    const module = guarded({
      postLoad: async ({ signal }) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        await sleep(10);
        ended = true;
        throw new Error('interrupted');
      },
    });
    const call = module.postLoad(context(abort.signal));
    const reason = new Error('the daemon stops');
    abort.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(ended).toBe(true);
  });

  it('does not begin after an abort', async () => {
    let begun = false;
    const module = guarded({ postLoad: async () => void (begun = true) });
    await expect(module.postLoad(context(AbortSignal.abort(new Error('over'))))).rejects.toThrow('over');
    expect(begun).toBe(false);
  });

  it('gives the hook a logger that carries its name', async () => {
    const log = new MemoryLog();
    await guarded({ postLoad: async (given) => given.log.info('here') }).postLoad(context(undefined, log));
    expect(log.lines).toEqual([{ level: 'info', message: 'here', details: { plugin: 'odd' } }]);
  });

  it('returns what the hook answers, and leaves out what the module does not have', async () => {
    const module = guarded({ reserve: async () => ({ publicIp: '192.0.2.7' }) });
    expect(await module.reserve({ ...context(), accounts: [] })).toEqual({ publicIp: '192.0.2.7' });
    expect(module.postLoad).toBeUndefined();
  });
});

describe('a driver', () => {
  const driver = (extendDomainXml: HypervisorDriver['extendDomainXml']) =>
    guardDriver(
      {
        kind: 'driver',
        file: '/p/d.js',
        version: '1',
        plugin: {
          apiVersion: 1,
          name: 'd',
          domainType: () => 'xen',
          diskDriverName: 'qemu',
          diskFormats: ['raw'],
          probe: () => ({ usable: true, reason: '' }),
          extendDomainXml,
        },
      },
      LIMITS,
    );

  it('gets a copy of the domain, so that a half-made change is never defined', () => {
    const tree: DomainXml = { domain: { $: { type: 'kvm' } } };
    const spoiling = driver((xml) => {
      xml.domain.$!.type = 'spoilt';
      throw new Error('half way');
    });
    expect(() => spoiling.extendDomainXml!(tree, context() as unknown as DriverContext)).toThrow(
      /extendDomainXml of driver 'd'/,
    );
    expect(tree).toEqual({ domain: { $: { type: 'kvm' } } });
  });

  it('must return the tree', () => {
    const forgetful = driver(() => undefined as unknown as DomainXml);
    const call = () => forgetful.extendDomainXml!({ domain: {} }, context() as unknown as DriverContext);
    expect(call).toThrow(
      expect.objectContaining({
        code: 'PLUGIN_FAILED',
        cause: expect.objectContaining({ message: expect.stringMatching(/must return the tree/) }),
      }),
    );
  });

  it('may make its domain type out of the host', async () => {
    const { domainType } = driver(undefined);
    expect(typeof domainType === 'function' && (await domainType({} as never))).toBe('xen');
  });
});
