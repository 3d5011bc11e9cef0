/** VMs and operations as people read them. */
import { printable } from '../log-line';
import type { MachinePower } from '../store/front-end';
import type { OperationDetails, VmDetails, VmHistoryEntry, VmSummary, VmVolume } from '../store/vm-front-end';
import type { Printer } from './printer';
import type { Cell, Style } from './terminal';
import { duration } from './terminal';
import { sentence } from './vm-watch';

const STYLES: Readonly<Record<string, Style>> = {
  Running: 'green',
  Paused: 'yellow',
  Suspended: 'yellow',
  Crashed: 'red',
  Unknown: 'red',
};

export function powerCell({ powerState, guestSleeping, fault }: Omit<MachinePower, 'computer' | 'reason'>): Cell {
  const text = [powerState, guestSleeping && 'asleep', fault].filter(Boolean).join(', ');
  const style = fault === null ? STYLES[powerState] : 'red';
  return style === undefined ? { text } : { text, style };
}

export function vmTable(vms: readonly VmSummary[], print: Printer): string {
  if (vms.length === 0) return 'none';
  return print.table(
    ['COMPUTER', 'POWER', 'HOST', 'DOMAIN', 'LAST EXIT', 'ALLOWED'],
    vms.map((vm) => [vm.computer, powerCell(vm), vm.host, vm.domain, vm.lastExit, vm.allowed.join(' ')]),
  );
}

export function describeVm(vm: VmDetails, print: Printer): string {
  const was = vm.lastPowerState === null ? '' : `, was ${vm.lastPowerState}`;
  const facts: [string, string | null][] = [
    ['power', `${powerCell(vm).text}${was} (${vm.reason})`],
    ['domain', vm.domain && `${vm.domain} on ${vm.host}`],
    ['up', vm.secondsUp === null ? null : duration(vm.secondsUp * 1000)],
    ['last exit', vm.lastExit && `${vm.lastExit}${vm.lastExitTime === null ? '' : ` at ${vm.lastExitTime}`}`],
    ['allowed', vm.allowed.join(', ') || 'nothing'],
    [
      'blocked',
      Object.entries(vm.blocked)
        .map(([name, why]) => `${name}: ${printable(why)}`)
        .join('; ') || null,
    ],
    ['after crash', vm.afterCrash],
    ...vm.volumes.map((volume): [string, string] => ['volume', describeVolume(volume)]),
    [
      'undo',
      vm.undoable[0]
        ? `operation ${vm.undoable[0].operationId}, for ${duration(vm.undoable[0].secondsLeft * 1000)}`
        : null,
    ],
  ];
  const lines = facts.flatMap(([name, value]) => (value === null ? [] : [`${name.padEnd(12)} ${printable(value)}`]));
  const story = vm.history.flatMap((entry) => storyLine(entry, print) ?? []);
  return [`VM ${vm.computer}`, ...lines, ...(story.length > 0 ? ['', ...story] : [])].join('\n');
}

/** `root: vda, system, 10240 MiB, /images/vm1_12-v0.qcow2` */
function describeVolume({ name, type, target, sizeBytes, path, attached }: VmVolume): string {
  const where = attached ? target : 'in no VM';
  return `${name}: ${[where, type, `${Math.ceil(sizeBytes / 2 ** 20)} MiB`, path].join(', ')}`;
}

export function operationTable(operations: readonly OperationDetails[], print: Printer): string {
  if (operations.length === 0) return 'none';
  return print.table(
    ['OPERATION', 'KIND', 'COMPUTER', 'STATE', '%', 'BY', 'CREATED', 'ENDED', 'ERROR'],
    operations.map((one) => [
      ...[one.id, printable(one.kind), one.computer, one.state, one.percent, printable(one.requestedBy)],
      ...[one.created, one.ended, one.error?.code ?? null],
    ]),
  );
}

export function describeOperation(
  operation: OperationDetails,
  story: readonly VmHistoryEntry[],
  print: Printer,
): string {
  return [sentence(operation), ...story.flatMap((entry) => storyLine(entry, print) ?? [])].join('\n');
}

/** @returns null for the beginning of a step: its end tells more */
export function storyLine({ time, kind, text, milliseconds }: VmHistoryEntry, { paint }: Printer): string | null {
  if (kind === 'begun') return null;
  const style = ({ failed: 'red', undone: 'yellow', ended: 'green', state: 'cyan' } as const)[kind] ?? 'dim';
  const took = milliseconds === null ? '' : paint('dim', ` ${duration(milliseconds)}`);
  const word = kind === 'ended' ? 'done' : kind === 'skipped' ? 'already' : kind;
  return `${paint('dim', time.slice(-8))}  ${paint(style, word.padEnd(7))}  ${printable(text)}${took}`;
}
