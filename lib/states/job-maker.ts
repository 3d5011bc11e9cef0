/** Makes the job of a claimed request: its ways to host and guest, from the adapters that the daemon was built with. */
import type { Config } from '../config/config';
import { ProvisiondError } from '../errors';
import { queuedCalls } from '../front-end-rpc/queued-calls';
import type { GuestConnector } from '../host/guest-session';
import type { Host } from '../host/host';
import type { HostPool } from '../host/host-pool';
import type { Slots } from '../host/slots';
import { LibvirtProvisioner } from '../libvirt/libvirt-provisioner';
import { Messenger } from '../messages/messenger';
import type { Reservation } from '../model/reservation';
import { isWaiting } from '../model/states';
import { PluginsInFlight } from '../plugins/in-flight';
import type { PluginRegistry } from '../plugins/registry';
import type { Store } from '../store/store';
import type { Queues } from '../work/queues';
import type { JobMaker } from '../work/worker';
import { GuestAccess } from './guest-access';
import { siteScripts } from './site-scripts';

/** The adapters of a daemon, as far as jobs use them. */
export interface JobMakerParts {
  readonly config: Config;
  readonly store: Store;
  readonly hosts: Pick<HostPool, 'get' | 'loadSlots'>;
  readonly connector: GuestConnector;
  readonly registry: PluginRegistry;
  readonly addSecret: (value: string) => void;
  /** Places for loads on all hosts together. */
  readonly slots: Slots;
  /** This machine, for the site's scripts. */
  readonly node: Host;
  /** What is delivered later. */
  readonly queues: Pick<Queues, 'mailIsOn' | 'lookAtMessages' | 'lookAtCalls'>;
}

export function jobMaker(adapters: JobMakerParts): JobMaker {
  const { store, hosts, connector, addSecret, slots, node, queues } = adapters;
  const inFlight = new PluginsInFlight();
  return (parts) => {
    const { config, registry } = adapters;
    const { claim, reservation, watch, narrator, log, onEnd } = parts;
    const { signal } = watch;
    const plugins = inFlight.of(reservation.id, registry);
    // Made when first asked for, so that rows which cannot be used fail the step that needs them.
    const provisioner = once(
      () =>
        new LibvirtProvisioner(
          {
            reservation,
            loadId: claim.loadId,
            token: claim.lease.token,
            host: hostOf(reservation, hosts),
            settings: config,
            log,
            signal,
            ...(isWaiting(claim.state) && { waits: () => watch.waits }),
            bases: store,
            onCopyProgress: tellInTens((text) => narrator.note('info', text)),
          },
          plugins,
        ),
    );
    const osModule = once(() => plugins.osModule(reservation.image.os.modulePackage));
    const predictiveModule = once(() => registry.predictiveModule(reservation.computer.predictivePackage));
    const guest = new GuestAccess(reservation, osModule, connector, config, log, signal);
    return {
      ...parts,
      signal,
      config,
      store,
      get provisioner() {
        return provisioner();
      },
      guest,
      natHost: ({ way }) => (way === null ? node : hosts.get(way)),
      messages: new Messenger({
        ...{ store, claim, reservation, log, mailIsOn: queues.mailIsOn },
        writeToConsole: (line) => guest.notifyUser(line),
        onQueued: () => void queues.lookAtMessages(),
      }),
      scripts: siteScripts({ settings: config.scripts, node, reservation, guest, log, signal }),
      frontEndCalls: queuedCalls(store, claim, () => void queues.lookAtCalls()),
      predictiveModule,
      addSecret,
      findings: {},
      // A place is taken once a job, however often its steps are run again.
      takeLoadSlot: once(async () => {
        if (!reservation.host) return;
        onEnd(await hosts.loadSlots(reservation.host).acquire(signal));
        onEnd(await slots.acquire(signal));
      }),
    };
  };
}

/** A function that does its work the first time it is called, and gives the same answer ever after. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** A line for every ten percent, beginning with the first that is heard of. */
function tellInTens(tell: (text: string) => void): (imageName: string, percent: number) => void {
  let told = -1;
  return (imageName, percent) => {
    const tens = Math.floor(percent / 10);
    // Less than before is another copy: first to the repository, then to the host.
    if (tens === told) return;
    told = tens;
    tell(`copying image ${imageName}: ${percent} %`);
  };
}

/** The computer's host; for a computer without one, a host whose every command says so. */
function hostOf({ host, computer }: Reservation, hosts: JobMakerParts['hosts']): Host {
  if (host) return hosts.get(host);
  const message = `computer ${computer.shortName} is assigned to no VM host`;
  return { name: 'none', run: () => Promise.reject(new ProvisiondError('COMPUTER_NOT_ASSIGNED', message)) };
}
