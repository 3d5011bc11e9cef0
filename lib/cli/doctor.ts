/** `provisiond doctor`: all that `check` asks, and what else a new site gets wrong; each finding with what mends it. */
import type { Command } from 'commander';
import { collectFindings, tellFindings } from './check';
import type { App } from './app';
import { examineHost } from './doctor-host';
import { examineDatabase, examineFrontEnd, examineNode } from './doctor-node';
import type { Finding } from './findings';
import { type Execute, addVerb } from './verb';

export function addDoctorVerb(program: Command, execute: Execute): void {
  addVerb(program, 'doctor', {
    about:
      'find what a new site gets wrong before its users do, with the command that mends it; only its speed test writes, a file that it removes',
    examples: ['doctor', 'doctor --front-end https://vcl.example.org/'],
  })
    .option('--front-end <url>', 'address of the web front end, to be asked whether it answers; default: xmlrpc.url')
    .action((options: { frontEnd?: string }, command: Command) =>
      execute(command, async (app) => tellFindings(app, await diagnose(app, options.frontEnd))),
    );
}

async function diagnose(app: App, frontEndUrl: string | undefined): Promise<Finding[]> {
  const checked = await collectFindings(app);
  const mistaken = checked.some(({ subject, verdict }) => subject === 'configuration' && verdict === 'problem');
  if (mistaken) return checked;
  const isUsable = checked.some(
    ({ subject, check, verdict }) => subject === 'database' && check === 'tables' && verdict === 'ok',
  );
  const hosts = isUsable ? await (await app.frontEnd()).listHosts() : [];
  const pinned = hosts.filter(({ transport, hostKey }) => transport === 'local' || hostKey !== null);
  const more = await Promise.all([
    examineNode(app),
    isUsable ? examineDatabase(app) : [],
    examineFrontEnd(frontEndUrl ?? app.config.xmlrpc.url),
    ...pinned.map((host) => examineHost(app, host)),
  ]);
  return [...checked, ...more.flat()];
}
