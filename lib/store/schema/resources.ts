/** What may be used together, when, and the settings of the site. Names, types, defaults and keys are those of VCL's own schema, version 2.5.1. */
import { choice, datetime, integer, OPTIONAL, serial, string, table, text, to, type Table } from './table';

export const RESOURCES_TABLES: readonly Table[] = [
  table(
    'resourcetype',
    {
      id: serial('tinyint'),
      name: string(50, { default: '' }),
    },
    { unique: [['name']] },
  ),
  table(
    'resource',
    {
      id: serial('mediumint'),
      resourcetypeid: integer('tinyint', { default: 0, references: to('resourcetype') }),
      subid: integer('mediumint', { default: 0 }),
    },
    { unique: [['resourcetypeid', 'subid']] },
  ),
  table(
    'resourcegroup',
    {
      id: serial('smallint'),
      name: string(60, { default: '' }),
      ownerusergroupid: integer('smallint', { default: 39, references: to('usergroup') }),
      resourcetypeid: integer('tinyint', { default: 0, references: to('resourcetype') }),
    },
    { unique: [['resourcetypeid', 'name']], indexes: [['ownerusergroupid']] },
  ),
  table(
    'resourcegroupmembers',
    {
      resourceid: integer('mediumint', { default: 0, references: to('resource', { onDelete: 'cascade' }) }),
      resourcegroupid: integer('smallint', { default: 0, references: to('resourcegroup', { onDelete: 'cascade' }) }),
    },
    { primaryKey: ['resourceid', 'resourcegroupid'], indexes: [['resourcegroupid']] },
  ),
  table(
    'resourcemap',
    {
      resourcegroupid1: integer('smallint', { default: 0, references: to('resourcegroup', { onDelete: 'cascade' }) }),
      resourcetypeid1: integer('tinyint', { default: 13, references: to('resourcetype') }),
      resourcegroupid2: integer('smallint', { default: 0, references: to('resourcegroup', { onDelete: 'cascade' }) }),
      resourcetypeid2: integer('tinyint', { default: 12, references: to('resourcetype') }),
    },
    {
      primaryKey: ['resourcegroupid1', 'resourcegroupid2'],
      indexes: [['resourcegroupid2'], ['resourcetypeid1'], ['resourcetypeid2']],
    },
  ),
  table(
    'schedule',
    {
      id: serial('tinyint'),
      name: string(25, { default: '' }),
      ownerid: integer('mediumint', { default: 1, references: to('user') }),
    },
    { unique: [['name']], indexes: [['ownerid']] },
  ),
  table(
    'scheduletimes',
    {
      scheduleid: integer('tinyint', { default: 0, references: to('schedule', { onDelete: 'cascade' }) }),
      start: integer('smallint', { default: 0 }),
      end: integer('smallint', { default: 0 }),
    },
    { indexes: [['scheduleid']] },
  ),
  table(
    'blockRequest',
    {
      id: serial('mediumint'),
      name: string(80),
      imageid: integer('smallint', { references: to('image', { onUpdate: 'restrict' }) }),
      numMachines: integer('tinyint'),
      groupid: integer('smallint', { ...OPTIONAL, references: to('usergroup', { onDelete: 'set null' }) }),
      repeating: choice(['weekly', 'monthly', 'list'], { default: 'weekly' }),
      ownerid: integer('mediumint', { references: to('user') }),
      managementnodeid: integer('smallint', {
        ...OPTIONAL,
        references: to('managementnode', { onUpdate: 'restrict' }),
      }),
      expireTime: datetime(),
      processing: integer('tinyint'),
      status: choice(['requested', 'accepted', 'completed', 'rejected', 'deleted'], { default: 'accepted' }),
      comments: text('text', OPTIONAL),
    },
    { indexes: [['groupid'], ['imageid'], ['managementnodeid'], ['ownerid']] },
  ),
  table(
    'blockTimes',
    {
      id: serial('mediumint'),
      blockRequestid: integer('mediumint', { references: to('blockRequest', { onDelete: 'cascade' }) }),
      start: datetime(),
      end: datetime(),
      processed: integer('tinyint', { default: 0 }),
      skip: integer('tinyint', { default: 0 }),
    },
    { indexes: [['blockRequestid'], ['end'], ['start']] },
  ),
  table(
    'blockComputers',
    {
      blockTimeid: integer('mediumint', { default: 0, references: to('blockTimes', { onDelete: 'cascade' }) }),
      computerid: integer('smallint', { default: 0, references: to('computer', { onUpdate: 'restrict' }) }),
      imageid: integer('smallint', { default: 0, references: to('image', { onUpdate: 'restrict' }) }),
      reloadrequestid: integer('mediumint', { default: 0 }),
    },
    { primaryKey: ['blockTimeid', 'computerid'], indexes: [['computerid'], ['imageid']] },
  ),
  table(
    'variable',
    {
      id: serial('smallint'),
      name: string(128),
      serialization: choice(['none', 'yaml', 'phpserialize'], { default: 'none' }),
      value: text('longtext'),
      setby: string(128, OPTIONAL),
      timestamp: datetime(),
    },
    { unique: [['name']] },
  ),
];
