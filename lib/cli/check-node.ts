/** What `provisiond check` asks of this node: its keys, its database, its clock. */
import fs from 'node:fs';
import os from 'node:os';
import type { Config } from '../config/config';
import { describeError } from '../errors';
import type { HostSummary } from '../store/front-end';
import type { Store } from '../store/store';
import type { App } from './app';
import { type Finding, Findings } from './findings';

/** VCL compares its own clock with times of the database; a web front end on another machine does so too. */
const CLOCK_WARNING_SECONDS = 5;
const CLOCK_PROBLEM_SECONDS = 60;

export function checkKeyFiles({ sshKeyFiles }: Config): Finding[] {
  const findings = new Findings('ssh keys');
  const there = sshKeyFiles.filter((file) => fs.existsSync(file));
  if (there.length === 0) {
    const remedy = `ssh-keygen -t ed25519 -N '' -f ${sshKeyFiles[0] ?? '/etc/vcl/vcl.key'}`;
    findings.problem('there', `none of ${sshKeyFiles.join(', ')} is there`, remedy);
  }
  for (const file of there) checkKeyFile(findings, file);
  return findings.all;
}

function checkKeyFile(findings: Findings, file: string): void {
  try {
    fs.accessSync(file, fs.constants.R_OK);
    const isPrivate = (fs.statSync(file).mode & 0o077) === 0;
    if (isPrivate) findings.ok('readable', file);
    else findings.warning('readable', `${file} can be read by other accounts`, `chmod 600 ${file}`);
  } catch (error) {
    findings.problem('readable', describeError(error), `chown ${os.userInfo().username} ${file} && chmod 600 ${file}`);
  }
}

export interface DatabaseCheck {
  readonly findings: Finding[];
  /** Whether the tables can be asked. */
  readonly isUsable: boolean;
  readonly hosts: readonly HostSummary[];
}

export async function checkDatabase(app: App): Promise<DatabaseCheck> {
  const findings = new Findings('database');
  let hosts: readonly HostSummary[] = [];
  const isUsable = await findings.examine('tables', async () => {
    const frontEnd = await app.frontEnd();
    hosts = await frontEnd.listHosts();
    return app.open().store.label;
  });
  if (isUsable) {
    const { store } = app.open();
    await findings.examine('clock', () => checkClock(findings, store));
    await findings.examine('management node', () => checkManagementNode(app, store));
  }
  return { findings: findings.all, isUsable, hosts };
}

/** Zone-less local times: another time zone shows as a difference, and is as wrong as a clock that runs ahead. */
async function checkClock(findings: Findings, store: Store): Promise<void> {
  const asked = Date.now();
  const theirs = Date.parse((await store.now()).replace(' ', 'T'));
  const middle = (asked + Date.now()) / 2;
  judgeClocks(findings, 'clock', 'the database', 'ours', Math.round((theirs - middle) / 1000));
  const webSeconds = await store.frontEndSecondsAhead();
  if (webSeconds !== null) judgeClocks(findings, 'clock of the web', 'the front end', "the database's", webSeconds);
}

function judgeClocks(findings: Findings, check: string, whose: string, other: string, seconds: number): void {
  const text = `the clock of ${whose} is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} ${other}`;
  const remedy =
    'timedatectl set-ntp true && timedatectl set-timezone ZONE   # on both alike; of PHP: date.timezone in php.ini';
  if (Math.abs(seconds) >= CLOCK_PROBLEM_SECONDS) findings.problem(check, text, remedy);
  else if (Math.abs(seconds) >= CLOCK_WARNING_SECONDS) findings.warning(check, text, remedy);
  else findings.ok(check, text);
}

async function checkManagementNode({ config }: App, store: Store): Promise<string> {
  const node = await store.managementNode(config.managementNode);
  return `${node.hostname} (id ${node.id})`;
}
