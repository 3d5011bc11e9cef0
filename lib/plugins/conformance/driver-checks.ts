/**
 * What every hypervisor driver must do. Nothing is run on any host: disks are a map in memory, and every command that a
 * hook gives to the host succeeds and says nothing.
 */
import { ProvisiondError } from '../../errors';
import { type BootPlan, FROM_DISK, bootMethod } from '../../model/boot';
import type { DomainXml, DriverContext, HostFactsForDriver, HypervisorDriver, ImageVerbs } from '../api';
import { type Check, NotTried, Objection, isSame, object } from './check';
import { EXAMPLE_IDENTITY, EXAMPLE_RESERVATION, SILENT } from './example';

export interface DriverSubject {
  /** Guarded, as the daemon uses it. */
  readonly driver: HypervisorDriver;
  /** The core's default tree. */
  readonly defaultXml: (
    driver: HypervisorDriver,
    parts: { domainType: string; format: string; boot: BootPlan },
  ) => DomainXml;
  /** @returns what libvirt's schema says against it, null when nothing; undefined when there is no such tool here */
  readonly judgeXml: (xml: DomainXml) => Promise<string | null | undefined>;
}

const BOOTS: readonly BootPlan[] = [
  FROM_DISK,
  { ...FROM_DISK, firmware: 'uefi' },
  { method: 'kernel', kernel: '/boot/guest/vmlinuz', ramdisk: '/boot/guest/initrd', args: 'quiet', mode: 'pv' },
  { method: 'bootloader', bootloader: null, bootloaderArgs: '', kernel: '', ramdisk: '', args: '', mode: 'pv' },
];

/** A hook that is told to stop has this long; the daemon is no more patient. */
const STOP_MS = 2500;

export const driverChecks: readonly Check<DriverSubject>[] = [
  {
    sentence: 'claims no host that offers nothing, and says why',
    async run({ driver }) {
      const { usable, reason } = await driver.probe(facts([]));
      object(!usable, 'probe claims a host whose libvirt offers no domain type at all; every other driver loses it');
      object(/\w/.test(reason), 'probe gives no reason; it is what an admin reads');
    },
  },
  {
    sentence: 'answers the same when it is asked again',
    async run({ driver }) {
      const host = facts(['kvm', 'qemu', 'xen']);
      const once = await driver.probe(host);
      object(isSame(await driver.probe(host), once), 'probe answers differently the second time');
    },
  },
  {
    sentence: 'names a domain type',
    async run({ driver }) {
      const type = await domainTypeOf(driver);
      object(/^[a-z]+$/.test(type), `domainType is ${JSON.stringify(type)}: no word that libvirt knows`);
    },
  },
  {
    sentence: 'makes the same disks when it is told again',
    async run({ driver }) {
      for (const format of driver.diskFormats) {
        const world = new DiskWorld();
        await driver.preDefine?.(contextFor(driver, format, world));
        const once = [...world.disks];
        await driver.preDefine?.(contextFor(driver, format, world));
        object(isSame([...world.disks], once), `preDefine, repeated for ${format}, makes other disks`);
      }
    },
  },
  {
    sentence: 'passes on why there is no image',
    async run({ driver }) {
      const world = new DiskWorld();
      world.ensureBase = () => Promise.reject(new ProvisiondError('IMAGE_NOT_FOUND', 'there is none'));
      if (!(await usesImages(driver))) return;
      const error = await failureOf(driver.preDefine!(contextFor(driver, driver.diskFormats[0]!, world)));
      object(error !== null, 'preDefine succeeds although there is no image: the guest would start from nothing');
      const code = (error as { code?: unknown }).code;
      object(code === 'IMAGE_NOT_FOUND', 'preDefine hides the error of images.ensureBase: do not catch it');
    },
  },
  {
    sentence: 'ends when it is told to stop',
    async run({ driver }) {
      if (!(await usesImages(driver))) return;
      const stop = new AbortController();
      const world = new DiskWorld();
      world.ensureBase = () =>
        new Promise((_resolve, reject) => {
          stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error), { once: true });
        });
      const work = failureOf(driver.preDefine!(contextFor(driver, driver.diskFormats[0]!, world, stop.signal)));
      stop.abort(new Error('stopped'));
      const ended = await Promise.race([work, pause(STOP_MS)]);
      object(ended !== undefined, `preDefine goes on for ${STOP_MS} ms after context.signal was aborted`);
      object(ended !== null, 'preDefine says that all is well after it was stopped half way');
    },
  },
  {
    sentence: 'boots in the ways that it lists, and by default in one of them',
    run({ driver }) {
      const plan = driver.defaultBoot?.(EXAMPLE_RESERVATION) ?? FROM_DISK;
      const listed = driver.bootMethods ?? ['firmware'];
      object(
        listed.includes(bootMethod(plan)),
        `by default it boots by ${bootMethod(plan)}, which is not in bootMethods`,
      );
    },
  },
  {
    sentence: 'changes a domain in the same way each time, and keeps what the core relies on',
    run: (subject) =>
      forEachTree(subject, (tree, context) => {
        const { driver } = subject;
        const once = extend(driver, tree, context);
        object(isSame(extend(driver, tree, context), once), 'extendDomainXml answers differently the second time');
        for (const part of ['name', 'uuid', 'metadata'] as const) {
          object(
            isSame(once.domain[part], tree.domain[part]),
            `extendDomainXml changes <${part}>: domains are known by it`,
          );
        }
        return Promise.resolve();
      }),
  },
  {
    sentence: 'gives libvirt XML that it takes',
    run: (subject) =>
      forEachTree(subject, async (tree, context) => {
        const complaint = await subject.judgeXml(extend(subject.driver, tree, context));
        if (complaint === undefined) throw new NotTried('virt-xml-validate is not installed (libvirt-clients)');
        if (complaint !== null) throw new Objection(`by ${context.boot.method}, ${context.disk.format}: ${complaint}`);
      }),
  },
];

function extend(driver: HypervisorDriver, tree: DomainXml, context: DriverContext): DomainXml {
  return driver.extendDomainXml?.(structuredClone(tree), context) ?? tree;
}

/** Every disk format with every way of booting that the driver has. */
async function forEachTree(
  { driver, defaultXml }: DriverSubject,
  work: (tree: DomainXml, context: DriverContext) => Promise<void>,
): Promise<void> {
  const domainType = await domainTypeOf(driver);
  const methods = driver.bootMethods ?? ['firmware'];
  for (const boot of BOOTS.filter((plan) => methods.includes(bootMethod(plan)))) {
    for (const format of driver.diskFormats) {
      const context = { ...contextFor(driver, format, new DiskWorld()), boot };
      await work(defaultXml(driver, { domainType, format, boot }), context);
    }
  }
}

async function domainTypeOf({ domainType }: HypervisorDriver): Promise<string> {
  return typeof domainType === 'string' ? domainType : domainType(facts(['kvm', 'qemu', 'xen']));
}

/** Disks as a map from path to what they stand on. */
class DiskWorld implements ImageVerbs {
  readonly disks = new Map<string, string>();

  ensureBase: ImageVerbs['ensureBase'] = (format) => {
    const base = `/srv/images/base.${format}`;
    this.disks.set(base, 'image');
    return Promise.resolve({ path: base, format, virtualSizeBytes: 1 << 20 });
  };
  createOverlay = (base: { path: string }, disk: { path: string }) => this.make(disk.path, `overlay of ${base.path}`);
  copyBase = (base: { path: string }, disk: { path: string }) => this.make(disk.path, `copy of ${base.path}`);

  private make(disk: string, what: string): Promise<void> {
    if (!this.disks.has(disk)) this.disks.set(disk, what);
    return Promise.resolve();
  }
}

async function usesImages(driver: HypervisorDriver): Promise<boolean> {
  const world = new DiskWorld();
  await driver.preDefine?.(contextFor(driver, driver.diskFormats[0]!, world));
  return world.disks.size > 0;
}

function facts(domainTypes: string[]): HostFactsForDriver {
  const run = () => Promise.resolve({ exitCode: 0, stdout: '', stderr: '' });
  const kvmWorks = () => Promise.resolve(domainTypes.includes('kvm'));
  return { host: { name: 'host1', run }, capabilities: {}, domainTypes, kvmWorks };
}

function contextFor(
  driver: HypervisorDriver,
  format: string,
  images: ImageVerbs,
  signal = new AbortController().signal,
): DriverContext {
  return {
    reservation: EXAMPLE_RESERVATION,
    identity: EXAMPLE_IDENTITY,
    host: facts(['kvm', 'qemu', 'xen']),
    boot: driver.defaultBoot?.(EXAMPLE_RESERVATION) ?? FROM_DISK,
    disk: { path: `/srv/vms/vm1_12-v2.${format}`, format },
    images,
    log: SILENT,
    signal,
  };
}

/** What a piece of work was rejected with; null when it was not. */
async function failureOf(work: Promise<void>): Promise<object | null> {
  return work.then(
    () => null,
    (error: unknown) => error as object,
  );
}

function pause(milliseconds: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), milliseconds).unref());
}
