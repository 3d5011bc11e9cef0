/**
 * The verbs, each loaded when it is called for: all of them together, with the daemon behind one of them, take longer to load
 * than most of them take to do their work.
 */
/* eslint-disable @typescript-eslint/no-require-imports, @typescript-eslint/consistent-type-imports -- import() would need files that are built */
import type { Command } from 'commander';
import type { Execute } from './verb';

type AddVerb = (program: Command, execute: Execute) => void;

/** In the order of the help. A file may add more than one verb. */
const VERBS: readonly { readonly names: readonly string[]; readonly load: () => AddVerb }[] = [
  { names: ['run'], load: () => (require('./run') as typeof import('./run')).addRunVerb },
  { names: ['init'], load: () => (require('./init') as typeof import('./init')).addInitVerb },
  {
    names: ['import-vcld'],
    load: () => (require('./import-vcld') as typeof import('./import-vcld')).addImportVcldVerb,
  },
  { names: ['check'], load: () => (require('./check') as typeof import('./check')).addCheckVerb },
  { names: ['reserve'], load: () => (require('./reserve') as typeof import('./reserve')).addReserveVerb },
  { names: ['list'], load: () => (require('./list') as typeof import('./list')).addListVerbs },
  { names: ['show'], load: () => (require('./show') as typeof import('./show')).addShowVerb },
  { names: ['connect'], load: () => (require('./connect') as typeof import('./connect')).addConnectVerb },
  { names: ['extend'], load: () => (require('./extend') as typeof import('./extend')).addExtendVerb },
  { names: ['end'], load: () => (require('./end') as typeof import('./end')).addEndVerb },
  { names: ['host'], load: () => (require('./host-add') as typeof import('./host-add')).addHostVerbs },
  { names: ['computer'], load: () => (require('./computer-add') as typeof import('./computer-add')).addComputerVerbs },
  { names: ['image'], load: () => (require('./image-add') as typeof import('./image-add')).addImageVerbs },
  { names: ['audit', 'rebuild'], load: () => (require('./audit') as typeof import('./audit')).addAuditVerbs },
  { names: ['recover'], load: () => (require('./recover') as typeof import('./recover')).addRecoverVerb },
  { names: ['boot'], load: () => (require('./boot') as typeof import('./boot')).addBootVerbs },
  { names: ['vm'], load: () => (require('./vm') as typeof import('./vm')).addVmVerbs },
  { names: ['volume'], load: () => (require('./volume') as typeof import('./volume')).addVolumeVerbs },
  {
    names: ['appliance'],
    load: () => (require('./appliance') as typeof import('./appliance')).addApplianceVerbs,
  },
  { names: ['instance'], load: () => (require('./instance') as typeof import('./instance')).addInstanceVerbs },
  { names: ['plugins'], load: () => (require('./plugins') as typeof import('./plugins')).addPluginsVerb },
  { names: ['config'], load: () => (require('./config') as typeof import('./config')).addConfigVerb },
  { names: ['doctor'], load: () => (require('./doctor') as typeof import('./doctor')).addDoctorVerb },
  { names: ['plan'], load: () => (require('./plan') as typeof import('./plan')).addPlanVerb },
  { names: ['explain'], load: () => (require('./explain') as typeof import('./explain')).addExplainVerb },
  { names: ['log-level'], load: () => (require('./log-level') as typeof import('./log-level')).addLogLevelVerb },
  { names: ['man'], load: () => (require('./man') as typeof import('./man')).addManVerb },
];

/** The manual page tells of all. */
const NEEDS_ALL = 'man';

/**
 * @param name the first word of the command line
 * @returns the one verb that it names; all of them when it names none (`--help`, a slip of the pen that wants a suggestion)
 */
export function verbsFor(name: string | undefined): AddVerb[] {
  if (name === '--version' || name === '-V') return [];
  const named = VERBS.filter(({ names }) => name !== NEEDS_ALL && names.includes(name ?? ''));
  return (named.length > 0 ? named : VERBS).map(({ load }) => load());
}
