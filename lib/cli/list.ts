/** `provisiond list`: what there is. */
import type { Command } from 'commander';
import type { App } from './app';
import type { Rows } from './printer';
import { listPlugins } from './plugins';
import { statusCell } from './status';
import { type Execute, addVerb } from './verb';

export function addListVerbs(program: Command, execute: Execute): void {
  const list = program.command('list').description('list reservations, computers, hosts, images or plugins');
  const add = (what: string, about: string, work: (app: App) => Promise<unknown>) =>
    addVerb(list, what, { about, examples: [`list ${what}`, `list ${what} --json`] }).action(
      (_options, command: Command) => execute(command, async (app) => void (await work(app))),
    );
  add('reservations', 'reservations that are not over, and what the web front end would say of them', listReservations);
  add('computers', 'virtual machines that can be reserved, and their states', listComputers);
  add('hosts', 'VM hosts, and how they are reached', listHosts);
  add('images', 'images and their revisions', listImages);
  add('plugins', 'drivers and OS modules; as "provisiond plugins"', (app) => Promise.resolve(listPlugins(app)));
}

async function listReservations(app: App): Promise<void> {
  const frontEnd = await app.frontEnd();
  const reservations = await frontEnd.listReservations();
  show(
    app,
    reservations,
    ['REQUEST', 'STATUS', 'STATE', 'USER', 'IMAGE', 'COMPUTER', 'HOST', 'START', 'END'],
    reservations.map((one) => [
      one.requestId,
      statusCell(one.status),
      one.state === 'pending' ? `pending (${one.lastState})` : one.state,
      one.user,
      one.image,
      one.computer,
      one.host,
      one.start,
      one.end,
    ]),
  );
}

async function listComputers(app: App): Promise<void> {
  const frontEnd = await app.frontEnd();
  const computers = await frontEnd.listComputers();
  show(
    app,
    computers,
    ['COMPUTER', 'STATE', 'HOST', 'IMAGE', 'PRIVATE IP', 'PUBLIC IP'],
    computers.map((one) => [one.name, statusCell(one.state), one.host, one.image, one.privateIp, one.publicIp]),
  );
}

async function listHosts(app: App): Promise<void> {
  const frontEnd = await app.frontEnd();
  const hosts = await frontEnd.listHosts();
  show(
    app,
    hosts,
    ['HOST', 'REACHED BY', 'HOST KEY', 'DRIVER', 'DATASTORE', 'COMPUTERS'],
    hosts.map((one) => [
      one.name,
      one.transport === 'local' ? 'local' : `ssh ${one.user}@${one.address}:${one.port}`,
      one.transport === 'local' ? null : (one.hostKey ?? { text: 'not pinned', style: 'red' as const }),
      one.driver ?? 'any that can',
      one.facts.profile.datastorePath,
      one.computers,
    ]),
  );
}

async function listImages(app: App): Promise<void> {
  const frontEnd = await app.frontEnd();
  const images = await frontEnd.listImages();
  show(
    app,
    images,
    ['IMAGE', 'FILE NAME', 'OS', 'SIZE', 'PRODUCTION'],
    images.map((one) => [one.prettyName, one.name, one.os, `${one.sizeMiB} MiB`, one.production ? 'yes' : 'no']),
  );
}

function show(app: App, document: readonly unknown[], headings: readonly string[], rows: Rows): void {
  app.print.result(document, () => (rows.length > 0 ? app.print.table(headings, rows) : 'none'));
}
