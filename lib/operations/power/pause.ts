import { NO_ARGUMENTS, vmKind } from '../kind';
import { checkStep, confirmStep, verbStep } from './steps';

/** Stops the processors; memory stays where it is. */
export const pause = vmKind({
  name: 'pause',
  about: 'stop the processors of a running VM; its memory stays where it is',
  arguments: NO_ARGUMENTS,
  example: {},
  steps: [
    checkStep('pause', () => 'pause'),
    verbStep('pause the domain', 'pausing', ['Running', 'Paused'], 'suspend'),
    confirmStep(() => 'Paused'),
  ],
});

/** Also after an I/O error, once its cause is gone. */
export const unpause = vmKind({
  name: 'unpause',
  about: 'let a paused VM run on',
  arguments: NO_ARGUMENTS,
  example: {},
  steps: [
    checkStep('unpause', () => 'unpause'),
    verbStep('let the domain run', 'letting run', ['Paused', 'Running'], 'resume'),
    confirmStep(() => 'Running'),
  ],
});

/** A guest that put itself to sleep (S3) hears neither button nor network. */
export const wake = vmKind({
  name: 'wake',
  about: 'wake a guest that put itself to sleep',
  arguments: NO_ARGUMENTS,
  example: {},
  steps: [
    checkStep('wake', () => 'wake'),
    verbStep('wake the guest', 'waking', ['Asleep', 'Running'], 'dompmwakeup'),
    confirmStep(() => 'Running'),
  ],
});
