/** The working part of a daemon on a fake site: poller and worker as lib/daemon.ts puts them together. */
import { ProvisiondError } from '../../lib/errors';
import type { Job } from '../../lib/states/job';
import { jobMaker, type JobMakerParts } from '../../lib/states/job-maker';
import type { StepEvent } from '../../lib/steps/step';
import type { Store } from '../../lib/store/store';
import { Poller } from '../../lib/work/poller';
import { Worker } from '../../lib/work/worker';
import type { FakeSite } from './fake-site';

export interface FakeDaemonOptions {
  readonly store?: Store;
  /** Told of every step of every job, before the job goes on. */
  readonly observe?: (requestId: number, event: StepEvent) => void;
  readonly adapters?: Partial<JobMakerParts>;
  /** Told of every job before its steps are run. */
  readonly onJob?: (job: Job) => void;
}

export class FakeDaemon {
  readonly worker: Worker;
  readonly poller: Poller;

  constructor(site: FakeSite, { store = site.store, observe, adapters, onJob }: FakeDaemonOptions = {}) {
    const makeJob = jobMaker(site.adapters({ store, ...adapters }));
    this.worker = new Worker(
      store,
      site.config,
      (parts) => {
        const told = parts.narrator.observe;
        const both = (event: StepEvent) => {
          told(event);
          observe?.(parts.claim.requestId, event);
        };
        const job = makeJob({ ...parts, narrator: Object.assign(parts.narrator, { observe: both }) });
        onJob?.(job);
        return job;
      },
      site.log,
      () => this.poller.pollNow(),
    );
    this.poller = new Poller(store, this.worker, site.lease, site.config.pollIntervalMs, site.log);
    this.poller.start();
  }

  async stop(): Promise<void> {
    await this.poller.stop();
    await this.worker.stopForGood('the test is over');
  }
}

/** A database that is away while its switch says so: every call fails as the real one's would. */
export function interruptible(store: Store): { store: Store; isAway: boolean } {
  const line = { store, isAway: false };
  line.store = new Proxy(store, {
    get: (target, name, receiver) => {
      const value: unknown = Reflect.get(target, name, receiver);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (line.isAway) return Promise.reject(new ProvisiondError('DATABASE_UNAVAILABLE', 'the database is away'));
        return (value as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  return line;
}
