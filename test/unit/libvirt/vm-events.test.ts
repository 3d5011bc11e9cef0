import { describe, expect, it } from '@jest/globals';
import { parseEvent } from '../../../lib/libvirt/vm-events';

const at = '2026-11-21 16:48:34.796+0000';

describe('what libvirt tells', () => {
  it.each([
    [`${at}: event 'lifecycle' for domain 'vm1_x_1-v0': Stopped Shutdown`, { exit: 'shutdown', started: false }],
    [`${at}: event 'lifecycle' for domain 'vm1_x_1-v0': Stopped Failed`, { exit: 'crashed', started: false }],
    [`${at}: event 'lifecycle' for domain 'vm1_x_1-v0': Crashed Panicked`, { exit: 'crashed', started: false }],
    [`${at}: event 'lifecycle' for domain 'vm1_x_1-v0': Started Booted`, { exit: null, started: true }],
    [`${at}: event 'reboot' for domain 'vm1_x_1-v0'`, { exit: null, started: true }],
    [`${at}: event 'pm-suspend' for domain 'vm1_x_1-v0'`, { exit: null, started: false }],
  ])('%s', (line, expected) => {
    expect(parseEvent(line)).toEqual({ domain: 'vm1_x_1-v0', ...expected });
  });

  it.each(['', '\ttime_elapsed: 23', `${at}: event 'job-completed' for domain 'x':`, 'error: Disconnected from qemu'])(
    'is no event of ours: %j',
    (line) => expect(parseEvent(line)).toBeNull(),
  );
});
