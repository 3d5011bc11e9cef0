/** The store, put together from its verbs. */
import { captureVerbs } from './capture-verbs';
import { blockVerbs } from './blocks';
import { censusVerbs } from './census-verbs';
import { claimVerbs } from './claim-verbs';
import { clusterVerbs } from './cluster-verbs';
import { imageVerbs } from './image-verbs';
import { serverVerbs } from './server-verbs';
import type { Database } from './database';
import { finishVerbs } from './finish';
import { forecastVerbs } from './forecast';
import { inboxVerbs } from './inbox-verbs';
import { leaseVerbs } from './lease-verbs';
import { migrationVerbs } from './migration';
import { messageVerbs } from './message-facts';
import { queueVerbs } from './queues';
import { readerVerbs } from './reservation-reader';
import type { Store } from './store';
import { storyVerbs } from './story-verbs';

export function sqlStore(db: Database): Store {
  return {
    label: db.label,
    close: () => db.close(),
    now: async () => (await db.one<{ time: string }>(`select ${db.dialect.now} as time`))!.time,
    ...migrationVerbs(db),
    ...leaseVerbs(db),
    ...inboxVerbs(db),
    ...censusVerbs(db),
    ...readerVerbs(db),
    ...storyVerbs(db),
    ...claimVerbs(db),
    ...blockVerbs(db),
    ...forecastVerbs(db),
    ...queueVerbs(db),
    ...messageVerbs(db),
    ...clusterVerbs(db),
    ...serverVerbs(db),
    ...imageVerbs(db),
    ...captureVerbs(db),
    ...finishVerbs(db),
  };
}
