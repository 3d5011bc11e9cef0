/** `provisiond audit` and `provisiond rebuild`: the hosts against the rows. */
import type { Command } from 'commander';
import { describeError } from '../errors';
import type { Finding } from '../libvirt/host-audit';
import { type AuditParts, auditHosts, findLost, fixHosts, type FixReport, type HostReport } from '../operations/audit';
import type { App } from './app';
import { EXIT, type ExitCode } from './exit-codes';
import { type Execute, addVerb, wholeNumber } from './verb';

const GRACE_SECONDS = 60;

export function addAuditVerbs(program: Command, execute: Execute): void {
  addVerb(program, 'audit', {
    about: 'compare domains, disks and addresses on the hosts with what the database owns',
    examples: ['audit', 'audit --fix'],
  })
    .option('--fix', 'remove orphans: ours, found at two looks, with nobody at work on their computer')
    .option('--grace <seconds>', 'time between the two looks', wholeNumber(1), GRACE_SECONDS)
    .action(({ fix, grace }: { fix?: true; grace: number }, command: Command) =>
      execute(command, (app) => audit(app, fix === true, grace)),
    );
  addVerb(program, 'rebuild', {
    about: 'list what the database has lost, from the metadata of the domains on the hosts',
    examples: ['rebuild --json'],
  }).action((_options: object, command: Command) => execute(command, rebuild));
}

async function auditParts(app: App): Promise<AuditParts> {
  const frontEnd = await app.frontEnd();
  const { store } = app.open();
  const { config } = app;
  const node = await store.managementNode(config.managementNode);
  const pool = app.hostsWith(node.keyFiles);
  const hosts = (await frontEnd.listHosts()).map(({ computerId, facts }) => {
    const { vmPath, privateNetwork } = facts.profile;
    return {
      computerId,
      host: pool.get(facts),
      places: { vmPath, privateNetwork, xmlDirectory: config.xmlDirectory },
    };
  });
  return { managementNodeId: node.id, hosts, readComputers: async () => (await frontEnd.ownership()).computers };
}

async function audit(app: App, fix: boolean, graceSeconds: number): Promise<ExitCode> {
  const parts = await auditParts(app);
  if (!fix) {
    const reports = await auditHosts(parts);
    app.print.result(reports.map(toDocument), () => describe(app, reports));
    const isClean = reports.every(
      ({ error, findings }) => !error && findings.every(({ verdict }) => verdict !== 'orphaned'),
    );
    return isClean ? EXIT.ok : EXIT.failed;
  }
  app.print.line(`two looks, ${graceSeconds} s apart, when there is something to remove`);
  const reports = await fixHosts(parts, graceSeconds * 1000, app.stopSignal);
  app.print.result(reports.map(toDocument), () => [describe(app, reports), ...reports.flatMap(describeFix)].join('\n'));
  return reports.every(({ error, spared }) => error === null && spared.length === 0) ? EXIT.ok : EXIT.failed;
}

function toDocument({ error, ...report }: HostReport): object {
  return { ...report, error: error === null ? null : { code: error.code, message: describeError(error) } };
}

function describe({ print }: App, reports: readonly HostReport[]): string {
  const rows = reports.flatMap(({ host, findings }) =>
    [...findings]
      .sort(byVerdict)
      .map(({ verdict, kind, what, computer, why }) => [host, verdict, kind, what, computer, why]),
  );
  const errors = reports.flatMap(({ host, error }) => (error ? [`host ${host}: ${describeError(error)}`] : []));
  const table = rows.length === 0 ? [] : [print.table(['HOST', 'VERDICT', 'WHAT', 'NAME', 'COMPUTER', 'WHY'], rows)];
  return [...table, ...errors].join('\n') || 'nothing of anybody is on the hosts';
}

const ORDER = ['orphaned', 'wild', 'owned'];
const byVerdict = (a: Finding, b: Finding) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict);

function describeFix({ host, removed, spared }: FixReport): string[] {
  return [
    ...removed.map(({ kind, what }) => `removed from ${host}: ${kind} ${what}`),
    ...spared.map(({ kind, what }) => `left on ${host}, its computer is being worked: ${kind} ${what}`),
  ];
}

async function rebuild(app: App): Promise<ExitCode> {
  const parts = await auditParts(app);
  const { computers, requestIds, imageRevisionIds } = await (await app.frontEnd()).ownership();
  const lost = await findLost(parts, {
    computerIds: new Set(computers.map(({ computerId }) => computerId)),
    requestIds: new Set(requestIds),
    imageRevisionIds: new Set(imageRevisionIds),
  });
  app.print.result(lost, () => {
    if (lost.length === 0) return 'the database knows the computer, the request and the image of every domain of ours';
    const rows = lost.map(({ host, domain: { name, state, identity, disks }, lost: what }) => [
      ...[host, name, state, what.join(', ')],
      `${identity!.computerName} (${identity!.computerId})`,
      ...[identity!.requestId, identity!.imageName, disks.join(' ')],
    ]);
    return app.print.table(['HOST', 'DOMAIN', 'STATE', 'LOST', 'COMPUTER', 'REQUEST', 'IMAGE', 'DISKS'], rows);
  });
  return lost.length === 0 ? EXIT.ok : EXIT.failed;
}
