/** Virtual appliances, and the images that were made of their machines. lib/operations/instances. */
import { datetime, integer, OPTIONAL, serial, string, table, text, type Table } from './table';

const APPLIANCE = table(
  'provisiond_appliance',
  { id: serial('int'), name: string(60), created: datetime(OPTIONAL) },
  { unique: [['name']] },
);

/** A VM is in one appliance at most. */
const APPLIANCE_VM = table(
  'provisiond_appliance_vm',
  {
    computerid: integer('smallint'),
    applianceid: integer('int'),
    /** UUID of the domain that was undeployed: off, on fresh disks. */
    undeployed: string(36, OPTIONAL),
  },
  { primaryKey: ['computerid'], indexes: [['applianceid']] },
);

/** Beside the rows of VCL's image and imagerevision. */
const INSTANCE = table(
  'provisiond_instance',
  {
    imagerevisionid: integer('mediumint'),
    imageid: integer('smallint'),
    masterrevisionid: integer('mediumint', OPTIONAL),
    sourcerevisionid: integer('mediumint'),
    operationid: integer('int'),
    computerid: integer('smallint'),
    hostcomputerid: integer('smallint'),
    /** fs-consistent, crash-consistent or offline. */
    consistency: string(20),
    /** ISO 8601, UTC. */
    moment: string(30),
    /** JSON: its files with their sizes and checksums. */
    files: text('text'),
    created: datetime(OPTIONAL),
  },
  { primaryKey: ['imagerevisionid'], indexes: [['operationid'], ['masterrevisionid']] },
);

export const APPLIANCE_TABLES: readonly Table[] = [APPLIANCE, APPLIANCE_VM, INSTANCE];
