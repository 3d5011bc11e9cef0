/** VMs that are bases, and those that stand on them. lib/operations/clones. */
import { datetime, integer, OPTIONAL, string, table, text, type Table } from './table';

const VM_BASE = table(
  'provisiond_vm_base',
  {
    computerid: integer('smallint'),
    hostcomputerid: integer('smallint'),
    operationid: integer('int'),
    uuid: string(36),
    /** JSON: its outline, its image, the files of its volumes. */
    facts: text('text'),
    prepared: datetime(OPTIONAL),
  },
  { primaryKey: ['computerid'] },
);

/** As the disks of the VM were seen last; their headers decide. */
const CLONE = table(
  'provisiond_clone',
  { computerid: integer('smallint'), basecomputerid: integer('smallint'), changed: datetime(OPTIONAL) },
  { primaryKey: ['computerid'], indexes: [['basecomputerid']] },
);

export const CLONE_TABLES: readonly Table[] = [VM_BASE, CLONE];
