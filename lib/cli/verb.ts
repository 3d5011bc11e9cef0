/** How a verb is declared: what all of them share, and arguments that are checked before anything is done. */
import { isIP } from 'node:net';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { isListenAddress } from '../listener';
import type { App } from './app';
import type { ExitCode } from './exit-codes';

/** The work of a verb. Returning nothing is success. */
export type Work = (app: App) => Promise<ExitCode | void>;

/** Runs the work of the verb that was called, with the options that all verbs have. */
export type Execute = (command: Command, work: Work) => Promise<void>;

export interface VerbTexts {
  readonly about: string;
  /** Command lines to copy, without the program's name. */
  readonly examples: readonly string[];
}

/**
 * Adds a verb with `--json`, `--config` and examples in its help.
 * @param usage name and arguments as commander wants them: `show <request>`
 */
export function addVerb(parent: Command, usage: string, { about, examples }: VerbTexts): Command {
  const lines = examples.map((example) => `\n  provisiond ${example}`).join('');
  return parent
    .command(usage)
    .description(about)
    .addOption(new Option('--json', 'print one JSON document'))
    .addOption(new Option('--config <file>', 'configuration file'))
    .addHelpText('after', `\nExample:${lines}`)
    .showHelpAfterError('(--help shows how it is used)');
}

export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    const upTo = max === Number.MAX_SAFE_INTEGER ? '' : `, at most ${max}`;
    throw new InvalidArgumentError(`It must be a whole number, at least ${min}${upTo}.`);
  };
}

export function listenAddress(text: string): string {
  if (isListenAddress(text)) return text;
  throw new InvalidArgumentError('It must be a loopback address (127.0.0.1:PORT) or the absolute path of a socket.');
}

export function ipAddress(text: string): string {
  if (isIP(text) === 4) return text;
  throw new InvalidArgumentError('It must be an IPv4 address, such as 192.0.2.10.');
}

export function macAddress(text: string): string {
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('It must be a MAC address, such as 52:54:00:12:34:56.');
}

/** A name that goes into rows, file names and domain names. */
export function machineName(text: string): string {
  if (/^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,34}[A-Za-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError('It must be a host name: letters, digits, hyphens and dots, 36 at most.');
}

export function folder(text: string): string {
  if (/^\/[A-Za-z0-9._/-]*$/.test(text)) return text === '/' ? text : text.replace(/\/+$/, '');
  throw new InvalidArgumentError('It must be an absolute path of letters, digits and . _ - /.');
}

/** A libvirt network or a bridge. */
export function networkName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be the name of a libvirt network or of a bridge.');
}

export function hostKeyFingerprint(text: string): string {
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be a fingerprint as ssh-keygen -l prints it: SHA256:…');
}
