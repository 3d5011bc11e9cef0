/** What `provisiond check` asks of the site's rows: what of them would not work, before a reservation finds out. */
import fs from 'node:fs';
import type { Host } from '../host/host';
import { script } from '../host/host';
import type { PluginRegistry } from '../plugins/registry';
import type { HostSummary, ImageSummary, ModuleUse } from '../store/front-end';
import type { App } from './app';
import { type Finding, Findings } from './findings';

/** More names than that say no more than their number. */
const NAMES_SHOWN = 5;

/** Modules of images and computers that nothing here serves. */
export async function checkModules(app: App, registry: PluginRegistry): Promise<Finding[]> {
  const findings = new Findings('modules');
  await findings.examine('in use', async () => {
    const { os, predictive } = await (await app.frontEnd()).modulesInUse();
    for (const use of os) checkModule(findings, `OS ${use.name}`, use, 'images', (name) => registry.osModule(name));
    for (const use of predictive) {
      checkModule(findings, `predictive ${use.name}`, use, 'computers', (name) => registry.predictiveModule(name));
    }
  });
  return findings.all;
}

function checkModule(
  findings: Findings,
  check: string,
  { perlPackage, uses }: ModuleUse,
  what: string,
  find: (perlPackage: string) => { name: string },
): void {
  if (perlPackage === null) {
    findings.problem(check, `has no module, and ${uses} ${what}`, 'Set OS.moduleid, or delete these images');
    return;
  }
  try {
    findings.ok(check, `${find(perlPackage).name}, for ${uses} ${what}`);
  } catch (error) {
    const map = what === 'images' ? 'osModules' : 'predictiveModules';
    const remedy = `Map ${perlPackage} in ${map} of the configuration, to a module of your own or one that is there`;
    findings.warning(check, `${uses} ${what}: ${(error as Error).message}`, remedy);
  }
}

/** The key files that the node's row names (`managementnode.keys`). */
export async function checkNodeKeys(app: App): Promise<Finding[]> {
  const findings = new Findings('management node');
  await findings.examine('keys', async () => {
    const { keyFiles } = await app.open().store.managementNode(app.config.managementNode);
    for (const file of keyFiles) {
      if (isReadable(file)) continue;
      const remedy = `Put the key there, let the account of provisiond read it, or take it out of managementnode.keys`;
      findings.problem('keys', `${file} cannot be read`, remedy);
    }
    return keyFiles.length > 0 && keyFiles.every(isReadable) ? keyFiles.join(', ') : undefined;
  });
  return findings.all;
}

function isReadable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** Base names of the files in these folders; one that is missing has none. */
const LIST = `for folder; do find "$folder" -type f ! -name '*.part' 2> /dev/null; done | sed 's|.*/||; s|\\.[^.]*$||' | sort -u`;

/** Production images that are neither in the datastore of a host nor in its repository. */
export async function checkImageFiles(
  app: App,
  { name, facts }: HostSummary,
  images: readonly ImageSummary[],
): Promise<Finding[]> {
  const findings = new Findings(`host ${name}`);
  const wanted = images.filter(({ production }) => production);
  if (wanted.length === 0) return [];
  const { datastorePath, repositoryPath } = facts.profile;
  const folders = [datastorePath, ...(repositoryPath === null ? [] : [repositoryPath])];
  await findings.examine('image files', async () => {
    const there = await baseNames(app.hosts.get(facts), folders);
    const missing = wanted.filter((image) => !there.has(image.name)).map((image) => image.name);
    if (missing.length === 0) return `${wanted.length} in ${folders.join(' or ')}`;
    const shown = missing.slice(0, NAMES_SHOWN).join(', ') + (missing.length > NAMES_SHOWN ? ' …' : '');
    const text = `${missing.length} of ${wanted.length} are not in ${folders.join(' nor in ')}: ${shown}`;
    findings.warning('image files', text, 'Copy the files there, or delete the images that nobody needs');
    return undefined;
  });
  return findings.all;
}

async function baseNames(host: Host, folders: readonly string[]): Promise<ReadonlySet<string>> {
  const { stdout } = await host.run(script(LIST, ...folders));
  return new Set(stdout.split('\n'));
}
