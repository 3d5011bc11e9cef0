/** Programs of a fake VM host that fail when they are told to. */
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { WorldFolder } from './world-folder';

/** What plays libvirt and the links of the host. */
export const FAKE_BIN = path.join(__dirname, 'fake-bin');

export interface FakeFault {
  /** What is said on standard error. */
  readonly message?: string;
  /** Default 1. */
  readonly exitCode?: number;
  /** How often; default: until `heal`. */
  readonly times?: number;
  /** The deed is done all the same, and then reported as failed. */
  readonly after?: boolean;
  readonly delayMs?: number;
  /** Never comes back. */
  readonly hang?: boolean;
}

export class FaultyPrograms extends WorldFolder {
  /**
   * Makes a program fail: `virsh` (nothing answers), a verb of it (`virsh start`), or any other program (`qemu-img`).
   */
  fail(what: string, fault: FakeFault = {}): void {
    const [program, verb] = what.split(' ') as [string, string?];
    if (verb !== undefined && program !== 'virsh') throw new Error(`only virsh has verbs: ${what}`);
    if (!existsSync(path.join(FAKE_BIN, program))) this.#wrap(program);
    const delay = fault.hang ? 'hang' : ((fault.delayMs ?? 0) / 1000).toString();
    const exitCode = fault.exitCode ?? (fault.delayMs === undefined && !fault.hang ? 1 : 0);
    const line = `${fault.times ?? -1} ${exitCode} ${delay} ${fault.after ? 'after' : 'before'}`;
    const file = verb === undefined ? program : `${program}.${verb}`;
    this.write(path.join('faults', file), `${line}\n${fault.message === undefined ? '' : `${fault.message}\n`}`);
  }

  /** libvirtd is not there. */
  stopLibvirtd(): void {
    const socket = '/var/run/libvirt/libvirt-sock';
    const message =
      'error: failed to connect to the hypervisor\n' +
      `error: Failed to connect socket to '${socket}': No such file or directory`;
    this.fail('virsh', { message });
  }

  /** Takes back all faults, or one. */
  heal(what?: string): void {
    if (what === undefined) rmSync(this.path('faults'), { recursive: true });
    else rmSync(this.path('faults', what.replace(' ', '.')), { force: true });
    mkdirSync(this.path('faults'), { recursive: true });
  }

  /** Puts a program before the real one that looks for its fault first. */
  #wrap(program: string): void {
    const file = this.path('bin', program);
    const text = [
      '#!/bin/sh',
      `. ${FAKE_BIN}/faults.sh`,
      `fault_before ${program} || exit $?`,
      `PATH=\${PATH#*:} ${program} "$@" || exit $?`,
      `fault_after ${program}`,
    ];
    writeFileSync(file, `${text.join('\n')}\n`);
    chmodSync(file, 0o755);
  }
}
