/** A reservation in words, and what its rest means for whoever waited. */
import { describeRest } from './rest';
import type { ReservationDetails } from '../store/front-end';
import { printable } from '../log-line';
import { EXIT, type ExitCode } from './exit-codes';
import type { Printer } from './printer';
import { statusCell } from './status';
import { powerCell } from './vm-report';
import type { Watched } from './watch';

/** What it is and how to get at it; without its timeline. */
export function describeReservation(details: ReservationDetails, print: Printer): string {
  const { text, style } = statusCell(details.status);
  const rows: [string, string | null][] = [
    ['request', String(details.requestId)],
    ['status', style === undefined ? text : print.paint(style, text)],
    ['state', details.state === 'pending' ? `pending (${details.lastState})` : details.state],
    ['user', details.user],
    ['image', details.image],
    ['computer', details.host === null ? details.computer : `${details.computer} on ${details.host}`],
    ['power', power(details, print)],
    ['from', details.start],
    ['until', details.end],
    ['log in', logIn(details)],
  ];
  return rows
    .filter(([, value]) => value !== null && value !== '')
    .map(([name, value]) => `${print.paint('bold', name.padEnd(9))} ${value}`)
    .join('\n');
}

/** Whoever wonders why a machine does not answer may find it here; the reason is of interest where it does not just run. */
function power({ power, computer }: ReservationDetails, print: Printer): string | null {
  const words = power.map((machine) => {
    const { text, style } = powerCell(machine);
    const painted = style === undefined ? text : print.paint(style, text);
    const name = power.length === 1 && machine.computer === computer ? '' : `${machine.computer} `;
    const why = text === 'Running' ? '' : ` (${printable(machine.reason)}): provisiond vm show ${machine.computer}`;
    return `${name}${painted}${why}`;
  });
  return words.length === 0 ? null : words.join('; ');
}

function logIn({ address, port, user, password, acknowledged }: ReservationDetails): string | null {
  if (address === null || !acknowledged) return null;
  const portOption = port === null || port === 22 ? '' : `-p ${port} `;
  return `ssh ${portOption}${user}@${address}${password === null ? '' : `   password ${password}`}`;
}

/** Prints the end of a wait. @returns ok when the reservation is there to be used */
export function reportRest(watched: Watched, print: Printer): ExitCode {
  const { details, rest } = watched;
  const failure = describeRest(watched);
  print.result(failure === null ? details : { ...details, error: failure }, () =>
    failure === null
      ? [describeReservation(details, print), ...nextStep(details)].join('\n')
      : `${print.paint('red', 'error:')} ${failure.message}\n  ${print.paint('cyan', 'hint:')} ${failure.hint}`,
  );
  return rest === 'ready' ? EXIT.ok : EXIT.failed;
}

function nextStep({ acknowledged, requestId }: ReservationDetails): string[] {
  return acknowledged ? [] : [`          provisiond connect ${requestId}   opens it for you and shows how to log in`];
}
