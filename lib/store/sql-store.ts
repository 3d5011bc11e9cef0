/** The store, put together from its verbs. */
import { baseVerbs } from './base-verbs';
import { captureVerbs } from './capture-verbs';
import { blockVerbs } from './blocks';
import { censusVerbs } from './census-verbs';
import { claimVerbs } from './claim-verbs';
import { clusterVerbs } from './cluster-verbs';
import { instanceVerbs } from './instance-verbs';
import { imageVerbs } from './image-verbs';
import { serverVerbs } from './server-verbs';
import { cloneVerbs } from './clone-verbs';
import type { Database } from './database';
import { examineVerbs } from './examine-verbs';
import { finishVerbs } from './finish';
import { forecastVerbs } from './forecast';
import { inboxVerbs } from './inbox-verbs';
import { leaseVerbs } from './lease-verbs';
import { migrationVerbs } from './migration';
import { natVerbs } from './nat-verbs';
import { messageVerbs } from './message-facts';
import { queueVerbs } from './queues';
import { operationVerbs } from './operation-verbs';
import { readerVerbs } from './reservation-reader';
import type { Store } from './store';
import { storyVerbs } from './story-verbs';
import { vmVerbs } from './vm-verbs';
import { volumeVerbs } from './volume-verbs';

export function sqlStore(db: Database): Store {
  return {
    label: db.label,
    close: () => db.close(),
    now: async () => (await db.one<{ time: string }>(`select ${db.dialect.now} as time`))!.time,
    ...migrationVerbs(db),
    ...leaseVerbs(db),
    ...inboxVerbs(db),
    ...examineVerbs(db),
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
    ...natVerbs(db),
    ...imageVerbs(db),
    ...baseVerbs(db),
    ...captureVerbs(db),
    ...finishVerbs(db),
    ...operationVerbs(db),
    ...vmVerbs(db),
    ...volumeVerbs(db),
    ...cloneVerbs(db),
    ...instanceVerbs(db),
  };
}
