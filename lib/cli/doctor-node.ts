/** What `provisiond doctor` asks of this machine, of the database's settings and of the front end. */
import { lookup } from 'node:dns/promises';
import os from 'node:os';
import { describeError } from '../errors';
import type { App } from './app';
import { type Finding, Findings } from './findings';

const FRONT_END_PATIENCE_MS = 10_000;

export async function examineNode({ config }: App): Promise<Finding[]> {
  const findings = new Findings('node');
  const own = config.managementNode;
  try {
    const { address } = await lookup(own);
    findings.ok('name', `${own} is ${address}`);
  } catch {
    findings.warning(
      'name',
      `${own} cannot be looked up`,
      `echo "ADDRESS ${own}" >> /etc/hosts   # or enter it in DNS`,
    );
  }
  const version = Number(process.versions.node.split('.')[0]);
  if (version >= 20) findings.ok('Node', process.version);
  else findings.problem('Node', `${process.version} is too old`, 'apt-get install nodejs   # version 20 or newer');
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  findings.ok('time zone', `${zone}; that of the database is compared above (clock)`);
  const freeMiB = Math.round(os.freemem() / 2 ** 20);
  if (freeMiB >= 150) findings.ok('memory', `${freeMiB} MiB free`);
  else
    findings.warning(
      'memory',
      `${freeMiB} MiB free`,
      'systemctl list-units --type=service   # and stop what is not needed',
    );
  return findings.all;
}

/** Grants and settings, found out by the database itself. */
export async function examineDatabase(app: App): Promise<Finding[]> {
  const findings = new Findings('database');
  for (const { check, problem, mend, text } of await app.open().store.examine()) {
    if (problem) findings.problem(check, text, mend ?? '');
    else if (mend !== null) findings.warning(check, text, mend);
    else findings.ok(check, text);
  }
  return findings.all;
}

/** @param url null: nobody said where it is */
export async function examineFrontEnd(url: string | null): Promise<Finding[]> {
  const findings = new Findings('front end');
  if (url === null) {
    findings.unknown('answers', 'nobody said where it is', 'provisiond doctor --front-end https://…   # or xmlrpc.url');
    return findings.all;
  }
  const mend = `curl -v ${JSON.stringify(url)}`;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(FRONT_END_PATIENCE_MS) });
    if (answer.ok) findings.ok('answers', `${url}: ${answer.status}`);
    else findings.problem('answers', `${url} answers with ${answer.status} ${answer.statusText}`, mend);
  } catch (error) {
    findings.problem('answers', `${url} does not answer: ${describeError(error)}`, mend);
  }
  return findings.all;
}
