/** What the steps of a load do and ask (load-steps.ts), for one reservation's computer. */
import { atExit } from '../host/at-exit';
import type { DomainXml, HypervisorDriver } from '../plugins/api';
import { ProvisiondError, findError } from '../errors';
import { refuseStrangers, removeDomains } from './delete-domain';
import { hasAddress, releaseAddress, reserveAddress } from './dhcp';
import { isDiskFull } from '../images/qemu-img';
import { checkBoot, checkDiskFormat, defaultDomainXml, driverContext, masterHardware } from './generate-domain';
import { requireUefi } from './firmware';
import { hostFacts } from './host-facts';
import type { HostedComputer } from './hosted-computer';
import type { HostLook, SeenDomain } from './look';
import { resolveNetworks } from './networks';
import { isUp, requireDomain, startDomain, stopDomain } from './power';
import { writeSeed } from './seed';
import { makeVolume } from './load-volumes';
import { virshError } from './virsh';
import { buildXml } from '../xml';

/** `$1` file `$2` unfinished file `$3` bytes; the content comes by stdin. A cut connection must not leave half a file. */
const WRITE_FILE = `
set -eu
file=$1 part=$2 bytes=$3
umask 077
mkdir -p "\${file%/*}"
[ -O "\${file%/*}" ] || { echo "error: folder \${file%/*} belongs to another user" >&2; exit 1; }
${atExit('rm -f "$part"')}
cat > "$part"
[ "$(wc -c < "$part")" -eq "$bytes" ] || { echo 'error: the content was cut off' >&2; exit 1; }
fence
mv "$part" "$file"
`;

const DEFINE = `
set -u
fence
exec virsh -q define --file "$1"
`;

const NO_DRIVER = ['DRIVER_NOT_FOUND', 'DRIVER_AMBIGUOUS', 'PLUGIN_REJECTED'] as const;

export class DomainLoad {
  /** The tree as it is built up; made again when a run begins anew. */
  private xml: DomainXml | null = null;

  constructor(
    private readonly computer: HostedComputer,
    private readonly initialise: () => Promise<HypervisorDriver>,
  ) {}

  // ------------------------------------------------------------------------------------------------ before the domain

  /** Driver, disk format and networks, before anything is changed. */
  async checkHost(): Promise<void> {
    const driver = await this.initialise();
    checkDiskFormat(this.computer, driver);
    const method = checkBoot(this.computer, driver);
    if (method === 'uefi') await requireUefi(this.computer.host, await this.domainType(driver));
    const look = await this.computer.view.current();
    resolveNetworks(this.computer, look);
    refuseStrangers(this.computer, look);
    this.xml = null;
  }

  async isAlone(): Promise<boolean> {
    return this.othersIn(await this.computer.view.current()).length === 0;
  }

  /** All of this computer's domains but the one that this very load made. */
  async removeExistingDomains(): Promise<void> {
    const others = this.othersIn(await this.computer.view.current());
    await removeDomains(this.computer, others, { logs: await this.consoleLogs(others) });
    await this.removeDriversDisks();
  }

  /** Where the hypervisor itself keeps what those guests say; removed with them, for the next may have their names. */
  async consoleLogs(domains: readonly SeenDomain[]): Promise<string[]> {
    if (domains.length === 0) return [];
    const driver = await this.initialise().catch(() => null);
    return driver?.consoleLog ? domains.map(({ name }) => driver.consoleLog!(name)) : [];
  }

  async buildDomainXml(): Promise<void> {
    const driver = await this.initialise();
    const look = await this.computer.view.current();
    this.xml = defaultDomainXml(this.computer, look, driver, await this.domainType(driver));
  }

  async extendDomainXml(signal: AbortSignal): Promise<void> {
    const driver = await this.initialise();
    if (this.xml === null) await this.buildDomainXml();
    if (!driver.extendDomainXml) return;
    const context = driverContext(this.computer, driver, await hostFacts(this.computer.host), signal);
    this.xml = driver.extendDomainXml(structuredClone(this.xml!), context);
  }

  /** Default tree and what the driver makes of it. */
  async generateDomainXml(signal: AbortSignal): Promise<DomainXml> {
    await this.buildDomainXml();
    await this.extendDomainXml(signal);
    return this.xml!;
  }

  // ------------------------------------------------------------------------------------------------ disk and address

  async hasDisk(): Promise<boolean> {
    const look = await this.computer.view.current();
    const { overlay } = this.computer.names;
    const own = this.ownIn(look);
    // A driver may keep its guests' disks elsewhere, or give them none: what a defined domain has not, it does not need.
    if (own === null || (this.wantsSeed(look) && !look.files.includes(this.computer.names.seed))) return false;
    return look.files.includes(overlay) || !own.disks.includes(overlay);
  }

  async makeDisks(signal: AbortSignal): Promise<void> {
    const { computer } = this;
    const { overlay, seed } = computer.names;
    await computer.view.change(
      async (look) => {
        await this.callDriver('preDefine', signal);
        if (this.wantsSeed(look)) await writeSeed(computer);
        for (const volume of computer.volumes) await makeVolume(computer, volume);
      },
      (look) => {
        const made = [overlay, ...computer.volumes.map(({ path }) => path), ...(this.wantsSeed(look) ? [seed] : [])];
        return { ...look, files: [...new Set([...look.files, ...made])] };
      },
    );
  }

  private wantsSeed(look: HostLook): boolean {
    return masterHardware(look.masterXml).wantsSeed;
  }

  /** Whatever this load has left on the host that no domain uses: disk, unfinished parts, XML file. */
  async removeFiles(): Promise<void> {
    await removeDomains(this.computer, [], { leftovers: true });
    await this.removeDriversDisks();
  }

  /**
   * What the driver made for the computer elsewhere than among its files. Never cut off: it clears up. Without a driver
   * there is nobody to ask: what an earlier one may have made stays, which is said, and nothing else is held up by it.
   */
  async removeDriversDisks(): Promise<void> {
    try {
      await this.initialise();
    } catch (error) {
      if (!NO_DRIVER.some((code) => findError(error, code))) throw error;
      const { log, host } = this.computer;
      log.warn(
        `no driver could be asked what else it made on host ${host.name}: if it made disks elsewhere, they are still there`,
        { error },
      );
      return;
    }
    await this.callDriver('removeDisks', new AbortController().signal);
  }

  async prepareStart(signal: AbortSignal): Promise<void> {
    await this.callDriver('preStart', signal);
  }

  private async callDriver(hook: 'preDefine' | 'preStart' | 'removeDisks', signal: AbortSignal): Promise<void> {
    const driver = await this.initialise();
    if (!driver[hook]) return;
    await driver[hook](driverContext(this.computer, driver, await hostFacts(this.computer.host), signal));
  }

  async hasAddress(): Promise<boolean> {
    return hasAddress(this.computer, await this.computer.view.current());
  }

  reserveAddress(): Promise<void> {
    return reserveAddress(this.computer);
  }

  releaseAddress(): Promise<void> {
    return releaseAddress(this.computer);
  }

  // ------------------------------------------------------------------------------------------------ the domain

  async isDefined(): Promise<boolean> {
    return this.ownIn(await this.computer.view.current()) !== null;
  }

  async writeXmlFile(): Promise<void> {
    const { names, host, view } = this.computer;
    if (this.xml === null) throw new ProvisiondError('INTERNAL', `no domain XML was built for ${names.domain}`);
    const content = buildXml(this.xml);
    await view.change(
      async () => {
        const args = [names.xml, this.computer.unfinished(names.xml), Buffer.byteLength(content)];
        const doing = `writing ${names.xml} on host ${host.name}`;
        const result = await this.computer.runScript(WRITE_FILE, args, doing, { stdin: content });
        if (result.exitCode === 0) return;
        throw virshError(isDiskFull(result.stderr) ? 'HOST_DISK_FULL' : 'COMMAND_FAILED', doing, result);
      },
      (look) => ({ ...look, files: [...new Set([...look.files, names.xml])] }),
    );
  }

  async defineDomain(): Promise<void> {
    const { names, host, identity, overlay, view } = this.computer;
    await view.change(
      async () => {
        const doing = `defining domain ${names.domain} on ${host.name} from ${names.xml}`;
        const result = await this.computer.runScript(DEFINE, [names.xml], doing);
        if (result.exitCode === 0) return;
        throw virshError('DOMAIN_REJECTED', doing, result);
      },
      (look) => ({
        ...look,
        domainNames: new Map([...look.domainNames, [names.domain, names.uuid]]),
        domains: [
          ...look.domains,
          {
            name: names.domain,
            uuid: names.uuid,
            state: 'shut off',
            persistent: true,
            hasManagedSave: false,
            identity,
            own: true,
            disks: [overlay, ...this.computer.volumes].map(({ path }) => path),
            macs: [this.computer.privateMac, this.computer.publicMac],
          },
        ],
      }),
    );
  }

  /** Only the domain of this very load; its disk is left to the step that made it. */
  async undefineDomain(): Promise<void> {
    const own = this.ownIn(await this.computer.view.current());
    if (own) await removeDomains(this.computer, [own]);
  }

  async isRunning(): Promise<boolean> {
    const own = this.ownIn(await this.computer.view.current());
    return own !== null && isUp(own);
  }

  async powerOn(signal: AbortSignal): Promise<void> {
    await this.prepareStart(signal);
    const own = this.ownIn(await this.computer.view.current());
    await startDomain(this.computer, requireDomain(this.computer, own));
  }

  async powerOff(): Promise<void> {
    const own = this.ownIn(await this.computer.view.current());
    if (own && own.state !== 'shut off') await stopDomain(this.computer, own);
  }

  // ------------------------------------------------------------------------------------------------

  private async domainType(driver: HypervisorDriver): Promise<string> {
    if (typeof driver.domainType === 'string') return driver.domainType;
    return driver.domainType(await hostFacts(this.computer.host));
  }

  /** The domain that this very load defined. */
  private ownIn(look: HostLook): SeenDomain | null {
    const { loadId } = this.computer.identity;
    return look.domains.find((domain) => domain.own && domain.identity?.loadId === loadId) ?? null;
  }

  private othersIn(look: HostLook): SeenDomain[] {
    const own = this.ownIn(look);
    return look.domains.filter((domain) => domain.own && domain !== own);
  }
}
