/** `provisiond connect`: the web's Connect button. */
import type { Command } from 'commander';
import type { App } from './app';
import { addressTowards, nodeAddress } from './node-address';
import { describeReservation } from './reservation-report';
import { type Execute, addVerb, ipAddress, wholeNumber } from './verb';

export function addConnectVerb(program: Command, execute: Execute): void {
  addVerb(program, 'connect', {
    about: 'take a reservation that is ready: open the guest for an address and show how to log in',
    examples: ['connect 12', 'connect 12 --from 192.0.2.10'],
  })
    .argument('<request>', 'number of the request', wholeNumber(1))
    .option('--from <ip>', 'the address to log in from; default: this machine, as the guest sees it', ipAddress)
    .action((request: number, { from }: { from?: string }, command: Command) =>
      execute(command, (app) => connect(app, request, from)),
    );
}

async function connect(app: App, request: number, from: string | undefined): Promise<void> {
  const { print } = app;
  const frontEnd = await app.frontEnd();
  const details = await frontEnd.connect(request, from ?? (await ownAddress(app, request)));
  print.result(details, () => describeReservation(details, print));
}

async function ownAddress(app: App, request: number): Promise<string> {
  const { address } = await (await app.frontEnd()).show(request);
  return address === null ? nodeAddress() : addressTowards(address);
}
