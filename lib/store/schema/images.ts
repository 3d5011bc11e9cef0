/** Images, their revisions, and what can load them. Names, types, defaults and keys are those of VCL's own schema, version 2.5.1. */
import { choice, datetime, integer, OPTIONAL, serial, string, table, text, to, type Table } from './table';

export const IMAGES_TABLES: readonly Table[] = [
  table(
    'image',
    {
      id: serial('smallint'),
      name: string(70, { default: '' }),
      prettyname: string(80, { default: '' }),
      ownerid: integer('mediumint', { optional: true, default: 1, references: to('user') }),
      imagetypeid: integer('smallint', { default: 1, references: to('imagetype') }),
      platformid: integer('tinyint', { default: 1, references: to('platform') }),
      OSid: integer('tinyint', { default: 0, references: to('OS') }),
      imagemetaid: integer('smallint', { ...OPTIONAL, references: to('imagemeta', { onDelete: 'set null' }) }),
      minram: integer('mediumint', { default: 0 }),
      minprocnumber: integer('tinyint', { default: 0 }),
      minprocspeed: integer('smallint', { default: 0 }),
      minnetwork: integer('smallint', { default: 0 }),
      maxconcurrent: integer('tinyint', OPTIONAL),
      reloadtime: integer('tinyint', { default: 10 }),
      deleted: integer('tinyint', { default: 0 }),
      test: integer('tinyint', { default: 0 }),
      lastupdate: datetime(OPTIONAL),
      forcheckout: integer('tinyint', { default: 1 }),
      maxinitialtime: integer('mediumint', { default: 0 }),
      project: choice(['vcl', 'hpc', 'vclhpc'], { default: 'vcl' }),
      size: integer('smallint', { default: 0 }),
      architecture: choice(['x86', 'x86_64'], { default: 'x86' }),
      description: text('text', OPTIONAL),
      usage: text('text', OPTIONAL),
      basedoffrevisionid: integer('mediumint', { ...OPTIONAL, references: to('imagerevision') }),
    },
    {
      unique: [['name'], ['prettyname']],
      indexes: [['basedoffrevisionid'], ['imagemetaid'], ['imagetypeid'], ['OSid'], ['ownerid'], ['platformid']],
    },
  ),
  table(
    'imagerevision',
    {
      id: serial('mediumint'),
      imageid: integer('smallint', { references: to('image', { onUpdate: 'restrict' }) }),
      revision: integer('smallint'),
      userid: integer('mediumint', { references: to('user') }),
      datecreated: datetime(),
      deleted: integer('tinyint'),
      datedeleted: datetime(OPTIONAL),
      production: integer('tinyint'),
      comments: text('text', OPTIONAL),
      imagename: string(75),
      autocaptured: integer('tinyint', { default: 0 }),
    },
    {
      unique: [
        ['imageid', 'revision'],
        ['production', 'imagename'],
      ],
      indexes: [['userid']],
    },
  ),
  table('imagemeta', {
    id: serial('smallint'),
    checkuser: integer('tinyint', { default: 1 }),
    subimages: integer('tinyint', { default: 0 }),
    sysprep: integer('tinyint', { default: 1 }),
    postoption: string(32, OPTIONAL),
    architecture: string(10, OPTIONAL),
    rootaccess: integer('tinyint', { default: 1 }),
    sethostname: integer('tinyint', OPTIONAL),
  }),
  table(
    'subimages',
    {
      imagemetaid: integer('smallint', { default: 0, references: to('imagemeta') }),
      imageid: integer('smallint', { default: 0, references: to('image', { onUpdate: 'restrict' }) }),
    },
    { indexes: [['imageid'], ['imagemetaid']] },
  ),
  table(
    'imagetype',
    {
      id: serial('smallint'),
      name: string(16),
    },
    { unique: [['name']] },
  ),
  table(
    'OS',
    {
      id: serial('tinyint'),
      name: string(20),
      prettyname: string(64, { default: '' }),
      type: string(30, { references: to('OStype', { column: 'name' }) }),
      installtype: string(30, { default: 'image', references: to('OSinstalltype', { column: 'name' }) }),
      minram: integer('mediumint', { default: 512 }),
      sourcepath: string(30, OPTIONAL),
      moduleid: integer('smallint', { ...OPTIONAL, references: to('module') }),
    },
    { unique: [['name'], ['prettyname']], indexes: [['installtype'], ['moduleid'], ['type']] },
  ),
  table(
    'OStype',
    {
      id: serial('tinyint'),
      name: string(30),
    },
    { unique: [['name']] },
  ),
  table(
    'OSinstalltype',
    {
      id: serial('tinyint'),
      name: string(30),
    },
    { unique: [['name']] },
  ),
  table(
    'module',
    {
      id: serial('smallint'),
      name: string(30),
      prettyname: string(70),
      description: string(255),
      perlpackage: string(150),
    },
    { unique: [['name']] },
  ),
  table(
    'provisioning',
    {
      id: serial('smallint'),
      name: string(30),
      prettyname: string(70),
      moduleid: integer('smallint', { references: to('module') }),
    },
    { unique: [['name']], indexes: [['moduleid']] },
  ),
  table(
    'provisioningOSinstalltype',
    {
      provisioningid: integer('smallint', { references: to('provisioning', { onDelete: 'cascade' }) }),
      OSinstalltypeid: integer('tinyint', { references: to('OSinstalltype', { onDelete: 'cascade' }) }),
    },
    { primaryKey: ['provisioningid', 'OSinstalltypeid'], indexes: [['OSinstalltypeid']] },
  ),
];
