/**
 * The site's own scripts at the stages of a reservation (`run_stage_scripts` of VCL): those of the management node's
 * folders run in the guest, then those for the node itself. A script that fails or takes too long is told in the log;
 * the reservation goes on, for its user waits.
 */
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Config } from '../config/config';
import type { Host } from '../host/host';
import type { Log } from '../log';
import type { Reservation } from '../model/reservation';
import type { GuestAccess } from './guest-access';

/** VCL's names, which are those of the folders. */
export type ScriptStage =
  | 'pre_reload'
  | 'post_load'
  | 'post_reserve'
  | 'post_initial_connection'
  | 'post_reservation'
  | 'pre_capture'
  | 'post_capture';

/** The machine is off, or has become another one. */
const NOT_IN_GUEST: readonly ScriptStage[] = ['post_capture'];

export interface SiteScriptsParts {
  readonly settings: Config['scripts'];
  readonly reservation: Reservation;
  readonly guest: Pick<GuestAccess, 'runScript'>;
  /** This machine. */
  readonly node: Host;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface SiteScripts {
  /** Runs what there is for the stage; nothing is success. Never throws for a script. */
  run(stage: ScriptStage): Promise<void>;
}

export function siteScripts(parts: SiteScriptsParts): SiteScripts {
  const { settings, log, signal } = parts;
  const each = async (files: readonly string[], where: string, run: (file: string) => Promise<void>) => {
    for (const file of files) {
      signal.throwIfAborted();
      try {
        await run(file);
        log.info(`script ${file} was run ${where}`);
      } catch (error) {
        signal.throwIfAborted();
        log.warn(`script ${file} failed ${where}; the work goes on`, { error });
      }
    }
  };
  return {
    async run(stage) {
      const inGuest = NOT_IN_GUEST.includes(stage) ? [] : await scriptsOf(settings.inGuest, stage);
      await each(inGuest, 'in the guest', (file) => runInGuest(parts, stage, file));
      const onNode = await scriptsOf(settings.onNode, stage);
      if (onNode.length > 0)
        await withFacts(parts, stage, (facts) => each(onNode, 'here', (file) => runHere(parts, file, facts)));
    },
  };
}

/**
 * Of all folders together, in VCL's order: names that begin with a number first, by it; then the others by name.
 * Hidden files are editors' and version control's.
 */
export async function scriptsOf(folders: readonly string[], stage: ScriptStage): Promise<string[]> {
  const found: string[] = [];
  for (const folder of folders) {
    const of = path.join(folder, stage);
    const names = await readdir(of).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    for (const name of names.filter((each) => !each.startsWith('.'))) {
      if ((await stat(path.join(of, name))).isFile()) found.push(path.join(of, name));
    }
  }
  return found.sort(byNumberThenName);
}

function byNumberThenName(a: string, b: string): number {
  const numberOf = (file: string) => Number(/^\d+/.exec(path.basename(file))?.[0] ?? Infinity);
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== right) return left - right;
  return path.basename(a).localeCompare(path.basename(b), 'en');
}

async function runInGuest({ guest, settings }: SiteScriptsParts, stage: ScriptStage, file: string): Promise<void> {
  await guest.runScript({
    name: `${stage}/${path.basename(file)}`,
    content: await readFile(file, 'utf8'),
    // What it did for this user cannot be undone for the next one.
    taints: stage === 'post_reserve',
    timeoutMs: settings.timeoutMs,
  });
}

async function runHere({ node, settings, log, signal }: SiteScriptsParts, file: string, facts: string): Promise<void> {
  const { timeoutMs } = settings;
  const { exitCode, stdout, stderr } = await node.run([file, facts], { timeoutMs, signal, expect: 'any' });
  for (const line of `${stdout}\n${stderr}`.split('\n').filter((text) => text.trim() !== '')) {
    log.info(`${path.basename(file)}: ${line}`);
  }
  if (exitCode !== 0) throw new Error(`it ended with exit code ${exitCode}`);
}

/** A file with what is known of the reservation, for as long as the scripts run; nobody else can read it. */
async function withFacts(parts: SiteScriptsParts, stage: ScriptStage, work: (file: string) => Promise<void>) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'provisiond-script-'));
  try {
    const file = path.join(folder, `${parts.reservation.id}.json`);
    await writeFile(file, `${JSON.stringify(factsFor(parts.reservation, stage), null, 2)}\n`, { mode: 0o600 });
    await work(file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The reservation as we know it, and under VCL's names what its sites' scripts ask for. The password stays out. */
function factsFor({ password: _secret, ...reservation }: Reservation, stage: ScriptStage): object {
  const { computer, image, user, managementNode } = reservation;
  return {
    ...reservation,
    stage,
    computer: {
      ...computer,
      SHORTNAME: computer.shortName,
      IPaddress: computer.publicIp,
      privateIPaddress: computer.privateIp,
      eth0macaddress: computer.privateMac,
      eth1macaddress: computer.publicMac,
    },
    image: { ...image, prettyname: image.prettyName },
    imagerevision: { id: image.revisionId, revision: image.revision, imagename: image.name },
    user: { ...user, unityid: user.login },
    managementnode: { id: managementNode.id, hostname: managementNode.hostname, SHORTNAME: managementNode.shortName },
  };
}
