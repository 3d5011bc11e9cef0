/** How users reach a computer. Names, types, defaults and keys are those of VCL's own schema, version 2.5.1. */
import { choice, datetime, integer, OPTIONAL, serial, string, table, text, to, type Table } from './table';

export const CONNECTIONS_TABLES: readonly Table[] = [
  table(
    'connectmethod',
    {
      id: serial('tinyint'),
      name: string(80),
      description: string(255),
      connecttext: text('text'),
      servicename: string(32),
      startupscript: string(256, OPTIONAL),
    },
    { unique: [['name', 'description']] },
  ),
  table(
    'connectmethodmap',
    {
      connectmethodid: integer('tinyint', { references: to('connectmethod', { onDelete: 'cascade' }) }),
      OStypeid: integer('tinyint', { ...OPTIONAL, references: to('OStype') }),
      OSid: integer('tinyint', { ...OPTIONAL, references: to('OS') }),
      imagerevisionid: integer('mediumint', { ...OPTIONAL, references: to('imagerevision') }),
      disabled: integer('tinyint', { default: 0 }),
      autoprovisioned: integer('tinyint', OPTIONAL),
    },
    { indexes: [['connectmethodid'], ['imagerevisionid'], ['OSid'], ['OStypeid']] },
  ),
  table(
    'connectmethodport',
    {
      id: serial('tinyint'),
      connectmethodid: integer('tinyint', { references: to('connectmethod', { onDelete: 'cascade' }) }),
      port: integer('mediumint'),
      protocol: choice(['TCP', 'UDP'], { default: 'TCP' }),
    },
    { unique: [['connectmethodid', 'port', 'protocol']], indexes: [['connectmethodid']] },
  ),
  table(
    'nathost',
    {
      id: serial('smallint'),
      resourceid: integer('mediumint', { references: to('resource') }),
      publicIPaddress: string(15),
      internalIPaddress: string(15, OPTIONAL),
    },
    { unique: [['resourceid']] },
  ),
  table(
    'nathostcomputermap',
    {
      nathostid: integer('smallint', { references: to('nathost', { onDelete: 'cascade' }) }),
      computerid: integer('smallint', { references: to('computer', { onUpdate: 'restrict' }) }),
    },
    { unique: [['computerid', 'nathostid']], indexes: [['nathostid']] },
  ),
  table(
    'natport',
    {
      reservationid: integer('mediumint', {
        references: to('reservation', { onDelete: 'cascade', onUpdate: 'restrict' }),
      }),
      nathostid: integer('smallint', { references: to('nathost') }),
      publicport: integer('smallint'),
      connectmethodportid: integer('tinyint', { references: to('connectmethodport') }),
    },
    {
      unique: [
        ['nathostid', 'publicport'],
        ['reservationid', 'connectmethodportid'],
      ],
      indexes: [['connectmethodportid'], ['nathostid'], ['reservationid']],
    },
  ),
  table(
    'natlog',
    {
      sublogid: integer('int', { references: to('sublog') }),
      nathostresourceid: integer('mediumint', { references: to('resource') }),
      publicIPaddress: string(15),
      publicport: integer('smallint'),
      internalIPaddress: string(15, OPTIONAL),
      internalport: integer('smallint'),
      protocol: choice(['TCP', 'UDP'], { default: 'TCP' }),
      timestamp: datetime(),
    },
    {
      unique: [
        [
          'sublogid',
          'nathostresourceid',
          'publicIPaddress',
          'publicport',
          'internalIPaddress',
          'internalport',
          'protocol',
        ],
      ],
      indexes: [['sublogid'], ['nathostresourceid'], ['nathostresourceid']],
    },
  ),
];
