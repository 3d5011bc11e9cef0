/** A VM host of a fake world with a datastore and a repository, rows that remember base files, and computers that ask for one. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Config } from '../../lib/config/config';
import { copiesRecorded } from '../../lib/images/record-behind';
import type { ImageStore } from '../../lib/images/image-store';
import { HostedComputer } from '../../lib/libvirt/hosted-computer';
import { MemoryLog } from '../fixtures/memory-log';
import { makeHostedReservation } from '../fixtures/hosted-reservation';
import { FakeHost } from './fake-host';
import type { TestStore } from './store';

export const IMAGE = 'vmwarelinux-Tiny12-v2';

export interface Asking {
  /** A host that has the folders of the first, or its own. */
  readonly on?: FakeHost;
  readonly hostId?: number;
  readonly computer?: string;
  readonly checkAtUse?: Config['imageCheckAtUse'];
  readonly datastoreFormat?: string;
  /** With folders of its own instead of the first host's. */
  readonly ownFolders?: boolean;
  readonly onPercent?: (percent: number) => void;
}

export class BaseWorld {
  readonly log = new MemoryLog();
  readonly hosts: FakeHost[];

  /** @param host the first; its folders are everybody's unless they say otherwise */
  constructor(
    private readonly t: TestStore,
    readonly host = new FakeHost(),
  ) {
    this.hosts = [host];
    mkdirSync(host.path('repository', IMAGE));
  }

  async close(): Promise<void> {
    await copiesRecorded();
    await Promise.all(this.hosts.map((host) => host.close()));
  }

  /** A further host, with folders of its own. */
  addHost(name: string): FakeHost {
    const host = new FakeHost({ name });
    this.hosts.push(host);
    return host;
  }

  base(name = `${IMAGE}.qcow2`): string {
    return this.host.path('datastore', name);
  }

  inRepository(name: string): string {
    return this.host.path('repository', IMAGE, name);
  }

  /** The image verbs of a computer. */
  images(asking: Asking = {}): ImageStore {
    const { on = this.host, hostId = 900, computer = 'vm5', checkAtUse, datastoreFormat, onPercent } = asking;
    const { profile, ...facts } = this.host.facts();
    const folders = asking.ownFolders
      ? { ...on.facts().profile, repositoryPath: profile.repositoryPath }
      : { ...profile };
    const host = {
      ...{ ...facts, computerId: hostId, shortName: on.name },
      profile: { ...folders, ...(datastoreFormat && { datastoreFormat }) },
    };
    return new HostedComputer({
      reservation: makeHostedReservation({ image: { name: IMAGE }, computer: { shortName: computer }, host }),
      loadId: `load-${Math.random()}`,
      host: on,
      settings: {
        xmlDirectory: on.path('xml'),
        imageTimeoutMs: 20_000,
        ...(checkAtUse && { imageCheckAtUse: checkAtUse }),
      },
      log: this.log,
      bases: this.t.store,
      ...(onPercent && { onCopyProgress: (_image: string, percent: number) => onPercent(percent) }),
    }).images;
  }

  /** Has the base made or admitted, and waits for its checksum. */
  async use(asking: Asking = {}) {
    const base = await this.images(asking).ensureBase(asking.datastoreFormat ?? 'qcow2');
    await copiesRecorded();
    return base;
  }

  /** Puts a program before the real one of that name. @param text of its script, after the interpreter's line */
  play(program: string, text: string): void {
    writeFileSync(this.host.path('bin', program), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }

  /** How often something is converted from now on. @param before what the conversion waits for */
  countConversions(before = ''): () => number {
    const log = this.host.path('conversions');
    writeFileSync(log, '');
    this.play(
      'qemu-img',
      `case $1 in convert) echo >>${log}; for last; do :; done; : >"$last"; ${before};; esac\nexec /usr/bin/qemu-img "$@"`,
    );
    return () => readFileSync(log, 'utf8').length;
  }
}

export const sumOf = (file: string) => execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64);
