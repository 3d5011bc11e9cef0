/** `provisiond check`: everything that must be right before a reservation can be served. It changes nothing. */
import type { Command } from 'commander';
import { ProvisiondError } from '../errors';
import type { PluginRegistry } from '../plugins/registry';
import type { HostSummary } from '../store/front-end';
import type { App } from './app';
import { checkHost } from './check-host';
import { checkImageFiles, checkModules, checkNodeKeys } from './check-site';
import { checkDatabase, checkKeyFiles } from './check-node';
import { EXIT, type ExitCode } from './exit-codes';
import { type Finding, Findings } from './findings';
import { openPlugins } from './plugins';
import type { Cell } from './terminal';
import { type Execute, addVerb } from './verb';

export function addCheckVerb(program: Command, execute: Execute): void {
  addVerb(program, 'check', {
    about: 'check configuration, keys, database, plugins and hosts; changes nothing',
    examples: ['check', 'check --json'],
  }).action((_options, command: Command) => execute(command, check));
}

async function check(app: App): Promise<ExitCode> {
  return tellFindings(app, await collectFindings(app));
}

/** The verdict on all of it: the exit code, and every problem with its remedy. */
export function tellFindings(app: App, findings: readonly Finding[]): ExitCode {
  const problems = findings.filter(({ verdict }) => verdict === 'problem').length;
  const warnings = findings.filter(({ verdict }) => verdict === 'warning').length;
  app.print.result({ ok: problems === 0, problems, warnings, findings }, () => report(app, findings));
  return problems === 0 ? EXIT.ok : EXIT.failed;
}

export async function collectFindings(app: App): Promise<Finding[]> {
  const configuration = checkConfiguration(app);
  if (configuration.some(({ verdict }) => verdict === 'problem')) return configuration;
  const database = await checkDatabase(app);
  const registry = openPlugins(app);
  const plugins = checkPlugins(registry);
  const images = database.isUsable ? await (await app.frontEnd()).listImages() : [];
  const hosts = await Promise.all(
    database.hosts.map(async (host) => {
      const found = await checkHost(app, host, registry);
      const isReached = found.some(({ check, verdict }) => check === 'reachable' && verdict === 'ok');
      return isReached ? [...found, ...(await checkImageFiles(app, host, images))] : found;
    }),
  );
  return [
    ...configuration,
    ...checkKeyFiles(app.config),
    ...database.findings,
    ...(database.isUsable ? await checkNodeKeys(app) : []),
    ...plugins,
    ...(database.isUsable ? await checkModules(app, registry) : []),
    ...(database.isUsable ? checkHostCount(database.hosts) : []),
    ...hosts.flat(),
  ];
}

function checkConfiguration(app: App): Finding[] {
  const findings = new Findings('configuration');
  try {
    findings.ok('valid', app.loaded.file ?? 'no file; defaults and environment');
  } catch (error) {
    if (!(error instanceof ProvisiondError)) throw error;
    const problems = (error.details['problems'] as string[] | undefined) ?? [error.message];
    for (const problem of problems) findings.problem('valid', app.print.redaction.text(problem), error.hint);
  }
  return findings.all;
}

function checkPlugins(registry: PluginRegistry): Finding[] {
  const findings = new Findings('plugins');
  for (const { kind, name, file, accepted, reason } of registry.verdicts()) {
    if (accepted) findings.ok(kind, `${name}: ${file}`);
    else findings.problem(kind, `${file}: ${reason}`, 'Mend the file or take it out of the folder');
  }
  const none = 'Install provisiond again, or name a folder in pluginDirs';
  if (registry.drivers().length === 0) findings.problem('driver', 'there is no driver at all', none);
  if (registry.osModules().length === 0) findings.problem('os-module', 'there is no OS module at all', none);
  return findings.all;
}

function checkHostCount(hosts: readonly HostSummary[]): Finding[] {
  const findings = new Findings('hosts');
  if (hosts.length === 0) findings.warning('entered', 'there is no VM host yet', 'provisiond host add enters one');
  return findings.all;
}

const MARKS: Record<Finding['verdict'], Cell> = {
  ok: { text: 'ok', style: 'green' },
  unknown: { text: 'unknown', style: 'dim' },
  warning: { text: 'warning', style: 'yellow' },
  problem: { text: 'PROBLEM', style: 'red' },
};

function report({ print }: App, findings: readonly Finding[]): string {
  const table = print.table(
    ['', 'WHAT', 'CHECK', 'FOUND'],
    findings.map(({ subject, check, verdict, text }) => [MARKS[verdict], subject, check, text]),
  );
  const remedies = findings
    .filter(({ remedy }) => remedy !== null)
    .map(({ subject, check, remedy }) => `  ${print.paint('bold', `${subject}, ${check}:`)} ${remedy}`);
  const unique = [...new Set(remedies)];
  return unique.length === 0 ? `${table}\n\nall is well` : `${table}\n\nwhat to do:\n${unique.join('\n')}`;
}
