/** Opens the database of a configuration, as the two ports. */
import { applianceVerbs } from './appliance-verbs';
import { imageUseVerbs } from './base-verbs';
import { openDatabase, type Database } from './database';
import type { FrontEnd } from './front-end';
import { bootVerbs } from './boot-verbs';
import { inventoryVerbs } from './inventory';
import { inventoryListVerbs } from './inventory-lists';
import { listingVerbs } from './reservation-details';
import { requestVerbs } from './reservation-requests';
import { siteRowVerbs } from './site-rows';
import { ownershipVerbs } from './ownership-verbs';
import { sqlStore } from './sql-store';
import type { Store } from './store';
import { vmFrontEndVerbs } from './vm-front-end-verbs';
import { volumePlanVerbs } from './volume-plan-verbs';

export interface OpenStoreOptions {
  /** `sqlite:PATH`, `sqlite::memory:` or `mysql://user:password@host:port/name`. */
  readonly database: string;
}

export interface OpenStore {
  readonly store: Store;
  readonly frontEnd: FrontEnd;
  /** Statements sent since the opening, for benches. */
  readonly statementCount: () => number;
  /** The border itself, for tests that look at rows. */
  readonly db: Database;
}

/** Connects to nothing yet: the first statement does. @throws CONFIG_INVALID */
export function openStore(options: OpenStoreOptions): OpenStore {
  const db = openDatabase(options.database);
  return { store: sqlStore(db), frontEnd: frontEnd(db), statementCount: () => db.statementCount, db };
}

function frontEnd(db: Database): FrontEnd {
  return {
    ...requestVerbs(db),
    ...listingVerbs(db),
    ...inventoryListVerbs(db),
    ...inventoryVerbs(db),
    ...siteRowVerbs(db),
    ...ownershipVerbs(db),
    ...bootVerbs(db),
    ...volumePlanVerbs(db),
    ...vmFrontEndVerbs(db),
    ...applianceVerbs(db),
    ...imageUseVerbs(db),
  };
}
