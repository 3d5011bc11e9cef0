/**
 * The guests of a fake world. A guest is there while its domain runs and while its network would give it the address
 * that is asked for; its disk is a folder. Scripts are run by the real sh with this machine's programs, in mount,
 * process, network and host name namespaces where everything that they write lands on that folder.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import path from 'node:path';
import { ProvisiondError } from '../../lib/errors';
import { pause } from '../../lib/host/deadline';
import { asGuestError } from '../../lib/host/guest-errors';
import type { GuestConnector, GuestSession, GuestTarget } from '../../lib/host/guest-session';
import type { RunOptions, RunResult } from '../../lib/host/host';
import { LocalHost } from '../../lib/host/local-host';
import type { FakeDomain, FakeHost } from './fake-host';

const GUEST_RUN = path.join(__dirname, 'fake-bin', 'guest-run');
const NAMESPACES = [
  '--mount',
  '--uts',
  '--ipc',
  '--net',
  '--pid',
  '--fork',
  '--kill-child',
  '--propagation',
  'private',
];

/** Why there can be no fake guests on this machine; null when there can. */
export const NO_FAKE_GUESTS = userInfo().uid === 0 ? null : 'fake guests need root for their namespaces';

export interface GuestBehaviour {
  /** How far whoever waits for it gets: default all the way. */
  readonly reaches?: 'nothing' | 'port' | 'banner';
  /** From each boot on. */
  readonly answersAfterMs?: number;
  readonly refusesLogin?: boolean;
  /** Shows this key instead of its own. */
  readonly hostKey?: string;
  /** A script whose text, arguments or input match ends in this way instead of being run. */
  readonly failing?: {
    readonly match: RegExp;
    readonly exitCode?: number;
    readonly stdout?: string;
    readonly stderr?: string;
  };
}

export class FakeGuests implements GuestConnector {
  readonly #host: FakeHost;
  readonly #behaviours = new Map<string, GuestBehaviour>();
  readonly #sessions = new Map<string, FakeSession>();

  constructor(host: FakeHost) {
    if (NO_FAKE_GUESTS !== null) throw new Error(NO_FAKE_GUESTS);
    this.#host = host;
  }

  /** How the guest of a computer (by its short name) behaves from now on. */
  behave(computer: string, behaviour: GuestBehaviour): void {
    this.#behaviours.set(computer, behaviour);
  }

  /** The folder that holds what the guest of a domain wrote; it goes with the world. */
  disk(domain: string): string {
    const found = this.#host.domain(domain);
    if (!found) throw new Error(`no domain ${domain} in the world`);
    return this.#diskOf(found);
  }

  /** A file of the guest, as it wrote it; undefined when it wrote none. */
  read(domain: string, file: string): string | undefined {
    const found = path.join(this.disk(domain), file);
    return existsSync(found) ? readFileSync(found, 'utf8') : undefined;
  }

  /** Puts a file on the guest's disk, as the image's maker would have. */
  write(domain: string, file: string, text: string): void {
    const target = path.join(this.disk(domain), file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, text);
  }

  async waitFor(target: GuestTarget, options: { timeoutMs: number; signal?: AbortSignal }): Promise<GuestSession> {
    const endsAt = performance.now() + options.timeoutMs;
    for (;;) {
      options.signal?.throwIfAborted();
      const domain = this.#domainOf(target);
      const reached = domain === undefined ? 'nothing' : this.#reached(target.name, domain);
      if (domain && reached !== 'nothing') this.#comeUp(target, domain);
      if (domain && reached === 'login') return this.#logIn(target, domain);
      if (performance.now() >= endsAt) {
        const { name, address } = target;
        const message = `${name} (${address}) let nobody in within ${options.timeoutMs} ms; reached: ${reached}`;
        throw new ProvisiondError('GUEST_NO_ANSWER', message, { details: { computer: name, address, reached } });
      }
      await pause(20, options.signal);
    }
  }

  forget(address: string): Promise<void> {
    this.#sessions.delete(address);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#sessions.clear();
    return Promise.resolve();
  }

  #behaviour(computer: string): GuestBehaviour {
    return this.#behaviours.get(computer) ?? {};
  }

  #diskOf(domain: FakeDomain): string {
    return this.#host.path('guests', domain.uuid);
  }

  /** The running domain of the computer, if it has the address: from DHCP where its network gives addresses. */
  #domainOf(target: GuestTarget): FakeDomain | undefined {
    const isOurs = (name: string) => name === target.name || name.startsWith(`${target.name}_`);
    const domain = this.#host.domains().find(({ name, state }) => isOurs(name) && state === 'running');
    const [network, mac] = [domain?.networks[0], domain?.macs[0]?.toLowerCase()];
    if (!domain || !network || !existsSync(this.#host.path('networks', network))) return domain;
    const isDhcp = readFileSync(this.#host.path('networks', network, 'config.xml'), 'utf8').includes('<dhcp>');
    const given = this.#host.dhcpHosts(network).find((host) => host.mac.toLowerCase() === mac)?.ip;
    return !isDhcp || given === target.address ? domain : undefined;
  }

  #reached(computer: string, domain: FakeDomain): 'nothing' | 'port' | 'banner' | 'login' {
    const { reaches, answersAfterMs = 0 } = this.#behaviour(computer);
    // The clock of this process may have been set to another day; that of the files has not.
    const bootedAt = statSync(this.#host.path('domains', domain.name, 'boots')).mtimeMs;
    if (answersAfterMs > 0 && Date.now() < bootedAt + answersAfterMs) return 'nothing';
    return reaches ?? 'login';
  }

  #logIn(target: GuestTarget, domain: FakeDomain): GuestSession {
    const { name, address } = target;
    const behaviour = this.#behaviour(name);
    const details = { computer: name, address, reached: 'login' };
    if (behaviour.refusesLogin) {
      throw new ProvisiondError('GUEST_LOGIN_REFUSED', `connecting to ${name} (${address})`, { details });
    }
    const ownKey = `SHA256:${createHash('sha256').update(domain.uuid).digest('base64').replace(/=+$/, '')}`;
    const hostKey = behaviour.hostKey ?? ownKey;
    if (target.hostKey !== null && target.hostKey !== hostKey) {
      const message = `connecting to ${name} (${address}): it shows the key ${hostKey}, pinned is ${target.hostKey}`;
      throw new ProvisiondError('GUEST_KEY_CHANGED', message, { details });
    }
    const known = this.#sessions.get(address);
    if (known && known.hostKey === hostKey && known.isAlive()) return known;
    const disk = this.#diskOf(domain);
    if (!existsSync(disk)) this.#install(disk, address);
    writeFileSync(path.join(disk, 'boot-id'), `${domain.uuid}-${domain.boots}\n`);
    const session = new FakeSession(this.#host, target, domain, disk, hostKey, () => this.#behaviour(name));
    this.#sessions.set(address, session);
    return session;
  }

  /** The guest is on the network: it answers there and has its lease. */
  #comeUp({ address }: GuestTarget, domain: FakeDomain): void {
    const file = this.#host.path('awake');
    const line = `${address} ${domain.name}\n`;
    if (existsSync(file) && readFileSync(file, 'utf8').includes(line)) return;
    appendFileSync(file, line);
    const [network, mac] = [domain.networks[0] ?? '', domain.macs[0] ?? ''];
    const isLeased = this.#host.dhcpHosts(network).some((host) => host.mac === mac);
    if (isLeased) this.#host.addLease(network, { mac, ip: address });
  }

  /** What the image holds beside this machine's own files. */
  #install(disk: string, address: string): void {
    mkdirSync(path.join(disk, 'etc', 'sudoers.d'), { recursive: true });
    writeFileSync(path.join(disk, 'etc', 'hostname'), 'localhost\n');
    writeFileSync(path.join(disk, 'etc', 'hosts'), '127.0.0.1 localhost\n');
    const publicAddress = address.replace(/\.\d+\.(\d+)$/, '.122.$1');
    const links = `lo 127.0.0.1\neth0 ${address}\neth1 ${publicAddress}\n`;
    writeFileSync(path.join(disk, 'etc', 'addresses'), links);
  }
}

class FakeSession implements GuestSession {
  readonly name: string;
  readonly address: string;
  readonly hostKey: string;
  readonly #host: FakeHost;
  readonly #domain: FakeDomain;
  readonly #disk: string;
  readonly #behaviour: () => GuestBehaviour;
  readonly #inside: LocalHost;
  #wentDown = false;

  constructor(
    host: FakeHost,
    target: GuestTarget,
    domain: FakeDomain,
    disk: string,
    hostKey: string,
    behaviour: () => GuestBehaviour,
  ) {
    this.name = target.name;
    this.address = target.address;
    this.hostKey = hostKey;
    this.#host = host;
    this.#domain = domain;
    this.#disk = disk;
    this.#behaviour = behaviour;
    this.#inside = new LocalHost({ name: target.name, prefix: ['unshare', ...NAMESPACES, GUEST_RUN, disk] });
  }

  /** The boot that the session belongs to still runs. */
  isAlive(): boolean {
    const now = this.#host.domain(this.#domain.name);
    return now?.uuid === this.#domain.uuid && now.state === 'running' && now.boots === this.#domain.boots;
  }

  async run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    if (!this.isAlive()) this.#fail('GUEST_NO_ANSWER', `connecting to ${this.name} (${this.address})`);
    const { failing } = this.#behaviour();
    try {
      const said = [...argv, String(options.stdin ?? '')].join('\n');
      if (failing?.match.test(said)) return await this.#playFailure(failing, options);
      return await this.#inside.run(argv, options);
    } catch (error) {
      throw asGuestError(error);
    } finally {
      await this.#goDown();
      if (!this.isAlive() && !this.#wentDown) this.#fail('OUTCOME_UNKNOWN', `the connection to ${this.name} broke`);
    }
  }

  /** Like a script that printed this and ended so. */
  #playFailure(failing: NonNullable<GuestBehaviour['failing']>, options: RunOptions): Promise<RunResult> {
    const text = 'printf %s "$1"; printf %s "$2" >&2; exit "$3"';
    const { stdout = '', stderr = '', exitCode = 1 } = failing;
    return this.#inside.run(['sh', '-c', text, 'sh', stdout, stderr, String(exitCode)], options);
  }

  /** Does to the domain what the guest asked for. */
  async #goDown(): Promise<void> {
    const note = path.join(this.#disk, 'run', 'went-down');
    if (!existsSync(note)) return;
    const verb = readFileSync(note, 'utf8').trim() === 'reboot' ? 'reboot' : 'shutdown';
    rmSync(note);
    this.#wentDown = true;
    await this.#host.run(['virsh', '-q', verb, this.#domain.name]);
  }

  #fail(code: 'GUEST_NO_ANSWER' | 'OUTCOME_UNKNOWN', message: string): never {
    throw new ProvisiondError(code, message, {
      blame: 'computer',
      details: { computer: this.name, reached: 'nothing' },
    });
  }
}
