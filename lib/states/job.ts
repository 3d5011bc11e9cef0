/** What a state's steps work with: one claimed request, its frozen reservation, and the ports. */
import type { Config } from '../config/config';
import type { FrontEndCalls } from '../front-end-rpc/queued-calls';
import type { Host } from '../host/host';
import type { LoadContext } from '../libvirt/load-steps';
import type { Messages } from '../messages/messenger';
import type { ImageChoice } from '../model/forecast';
import type { NodeStatus } from '../model/power';
import type { NatHost, Reservation } from '../model/reservation';
import type { WorkableState } from '../model/states';
import type { Timings, Variables } from '../model/timings';
import type { PredictiveModule } from '../plugins/api';
import type { Step } from '../steps/step';
import type { Claim, Store, Transition } from '../store/store';
import type { Narrator } from '../work/narrator';
import type { RequestWatch } from '../work/request-watch';
import type { Siblings } from '../work/siblings';
import type { GuestAccess } from './guest-access';
import type { SiteScripts } from './site-scripts';

export interface Job extends LoadContext {
  readonly claim: Claim;
  readonly reservation: Reservation;
  readonly config: Config;
  readonly timings: Timings;
  /** The site's settings, by the names of VCL's table `variable`. */
  readonly variables: Variables;
  readonly store: Store;
  readonly guest: GuestAccess;
  /** For commands on a NAT host. */
  natHost(nat: NatHost): Host;
  /** @throws PREDICTIVE_MODULE_NOT_FOUND, PLUGIN_REJECTED */
  predictiveModule(): PredictiveModule;
  /** To users and admins; written down at once, sent later. */
  readonly messages: Messages;
  readonly frontEndCalls: FrontEndCalls;
  /** The site's own scripts. */
  readonly scripts: SiteScripts;
  readonly watch: RequestWatch;
  readonly narrator: Narrator;
  /** The other reservations of the request. */
  readonly siblings: Siblings;
  /** Keeps a value out of every log line from now on. */
  addSecret(value: string): void;
  /** Takes one of the places for heavy work on the computer's host; given back when the job ends. */
  takeLoadSlot(): Promise<void>;
  /** Waits until another request's job in this daemon has let go of its computer; at once when there is none. */
  whenEnded(requestId: number): Promise<void>;
  /** What the steps of one run found out; nothing here outlives the run. */
  readonly findings: Findings;
}

export interface Findings {
  nodeStatus?: NodeStatus;
  /** The machine to be captured was off when this run first looked. */
  machineWasOff?: boolean;
  reclaim?: 'keep' | 'sanitize' | 'reload' | 'unload';
  /** The computer’s domain ran when its fate was decided, and let us in if it was asked. */
  guestRuns?: boolean;
  /** What a reload is to bring. */
  nextImage?: ImageChoice;
}

export type JobStep = Step<Job, Transition>;

/** One request state: its steps, read from top to bottom, and what follows when they went well. */
export interface StateHandler {
  readonly state: WorkableState;
  /** `load` work counts against the limits of loads; `attend` waits for people and costs next to nothing. */
  readonly kind: 'load' | 'attend';
  readonly steps: readonly JobStep[];
  readonly onSuccess: (job: Job) => Transition;
  /** What follows of a failure, instead of what `outcome.ts` says for the state. */
  readonly onFailure?: (job: Job) => Transition;
}
