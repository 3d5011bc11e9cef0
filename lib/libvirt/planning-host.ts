/**
 * A host on which one only looks: what changes nothing is asked of the real one, all else is written down and answered
 * as if it had gone well. So a plan is what the steps themselves would do, not a second account of them.
 */
import type { Host, RunOptions, RunResult } from '../host/host';
import { isKvmProbe } from './kvm-probe';
import { isLook } from './look';
import { isVolumesLook } from './volume-files';

export interface Planned {
  readonly argv: readonly string[];
}

const LOOKING_VERBS = /^(capabilities|domcapabilities|list|dumpxml|net-dumpxml|net-list|domstate|dominfo|version)$/;

export class PlanningHost implements Host {
  readonly name: string;
  private planned: Planned[] = [];

  constructor(private readonly real: Host) {
    this.name = real.name;
  }

  run(argv: readonly string[], options?: RunOptions): Promise<RunResult> {
    if (changesNothing(argv)) return this.real.run(argv, options);
    this.planned.push({ argv });
    return Promise.resolve({ exitCode: 0, stdout: '', stderr: '' });
  }

  /** What was written down since the last call. */
  takePlanned(): Planned[] {
    const { planned } = this;
    this.planned = [];
    return planned;
  }
}

function changesNothing(argv: readonly string[]): boolean {
  if (isLook(argv) || isVolumesLook(argv) || isKvmProbe(argv)) return true;
  const words = argv.filter((word) => !word.startsWith('-'));
  return words[0] === 'virsh' && LOOKING_VERBS.test(words[1] ?? '');
}
