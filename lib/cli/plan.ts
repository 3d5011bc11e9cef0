/** `provisiond plan`: what a load of a request would do, found out by doing it on a host that only looks. */
import type { Command } from 'commander';
import { PlanningHost, type Planned } from '../libvirt/planning-host';
import type { Host } from '../host/host';
import type { ProvisionerSettings } from '../libvirt/hosted-computer';
import { type DriverChooser, LibvirtProvisioner } from '../libvirt/libvirt-provisioner';
import { loadSteps } from '../libvirt/load-steps';
import { buildXml } from '../xml';
import type { HostFacts, Reservation } from '../model/reservation';
import { runSteps } from '../steps/step';
import { isWorkable } from '../model/states';
import { ProvisiondError } from '../errors';
import { quoteCommand } from '../host/shell-quote';
import type { App } from './app';
import { openPlugins } from './plugins';
import { type Execute, addVerb, wholeNumber } from './verb';

export function addPlanVerb(program: Command, execute: Execute): void {
  addVerb(program, 'plan', {
    about: 'print what a load of a request would do: driver, XML, files and commands; changes nothing',
    examples: ['plan 12', 'plan 12 --json'],
  })
    .argument('<request>', 'number of the request', wholeNumber(1))
    .action((request: number, _options, command: Command) => execute(command, (app) => planRequest(app, request)));
}

export interface LoadPlan {
  readonly computer: string;
  readonly host: string;
  readonly driver: string;
  readonly why: string;
  readonly domain: string;
  readonly files: { readonly disk: string; readonly xml: string };
  readonly steps: readonly { readonly step: string; readonly commands: readonly Planned[] }[];
  readonly domainXml: string;
}

async function planRequest(app: App, requestId: number): Promise<void> {
  const plans: LoadPlan[] = [];
  for (const reservation of await readReservations(app, requestId)) {
    plans.push(await planLoad(reservation, { hosts: app.hosts, settings: app.config, registry: openPlugins(app) }));
  }
  app.print.result(plans, () => plans.map((plan) => describe(plan, app)).join('\n\n'));
}

async function readReservations(app: App, requestId: number): Promise<Reservation[]> {
  const { state, lastState } = await (await app.frontEnd()).show(requestId);
  const { store } = app.open();
  const { id: managementNodeId } = await store.managementNode(app.config.managementNode);
  const workable = isWorkable(state) ? state : isWorkable(lastState) ? lastState : 'new';
  const lease = { managementNodeId, holder: 'plan', token: 0 };
  // Reading needs no claim of ours: nothing is written under this one.
  return store.readReservations({ requestId, state: workable, lastState, loadId: 'plan', lease });
}

export interface PlanParts {
  readonly hosts: { get(facts: HostFacts): Host };
  readonly settings: ProvisionerSettings;
  readonly registry: DriverChooser;
}

/** @throws COMPUTER_NOT_ASSIGNED, and whatever stands in the way of the load */
export async function planLoad(reservation: Reservation, { hosts, settings, registry }: PlanParts): Promise<LoadPlan> {
  const { host: facts, computer } = reservation;
  if (facts === null)
    throw new ProvisiondError('COMPUTER_NOT_ASSIGNED', `computer ${computer.shortName} is assigned to no VM host`);
  const host = new PlanningHost(hosts.get(facts));
  const log = silentLog();
  const provisioner = new LibvirtProvisioner({ reservation, loadId: 'plan', host, settings, log }, registry);
  const driver = await provisioner.initialise();
  const steps: { step: string; commands: readonly Planned[] }[] = [];
  const signal = new AbortController().signal;
  const outcome = await runSteps(
    loadSteps,
    { provisioner, signal, log },
    {
      signal,
      observe: (event) => {
        if (event.kind === 'ended') steps.push({ step: event.step, commands: host.takePlanned() });
      },
      keepOnFailure: () => true,
    },
  );
  const last = host.takePlanned();
  // What comes after a copy of the image is only known when the copy is there.
  const isUncertain = outcome.kind === 'failed' && outcome.error.code === 'IMAGE_COPY_FAILED' && last.length > 0;
  if (outcome.kind === 'failed' && !isUncertain) throw outcome.error;
  if (outcome.kind === 'failed') steps.push({ step: outcome.step, commands: last });
  return {
    computer: computer.shortName,
    host: facts.shortName,
    driver: driver.name,
    why: facts.connection.driver === null ? 'the only one whose probe agrees' : 'pinned for the host',
    domain: provisioner.domainName,
    files: { disk: provisioner.overlayPath, xml: provisioner.xmlPath },
    steps,
    domainXml: buildXml(await provisioner.generateDomainXml()),
  };
}

function describe(plan: LoadPlan, { print }: App): string {
  const steps = plan.steps.flatMap(({ step, commands }) => [
    `  ${print.paint('bold', step)}`,
    ...commands.map(({ argv }) => `      ${shortCommand(argv)}`),
  ]);
  return [
    `${plan.computer} would be loaded on host ${plan.host} as domain ${plan.domain}`,
    `driver   ${plan.driver}: ${plan.why}`,
    `disk     ${plan.files.disk}`,
    `XML      ${plan.files.xml}`,
    '',
    'steps that would change something or look:',
    ...steps,
    '',
    plan.domainXml.trim(),
  ].join('\n');
}

/** Scripts are long: the line that says what they are for, and what they are given. */
function shortCommand(argv: readonly string[]): string {
  const [shell, option, text, , ...args] = argv;
  if (shell !== 'sh' || option !== '-c' || text === undefined) return quoteCommand(argv);
  const telling =
    text
      .split('\n')
      .filter((line) => /\b(virsh|qemu-img|mv|rm|cp) /.test(line))
      .at(-1) ?? '';
  return `sh: ${telling.trim() || '…'}   with ${quoteCommand(args.length > 0 ? args : ['nothing'])}`;
}

function silentLog() {
  const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
  return log;
}
