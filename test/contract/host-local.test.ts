import { describe, expect, it } from '@jest/globals';
import { LocalHost } from '../../lib/host/local-host';
import { describeHost } from './host.contract';

describeHost('LocalHost', () => new LocalHost({ name: 'here' }));

describe('this machine as a host', () => {
  it('puts its prefix before every command and its environment into it', async () => {
    const host = new LocalHost({ prefix: ['env', 'B=2'], env: { A: '1' } });
    expect((await host.run(['sh', '-c', 'echo "$A$B"'])).stdout).toBe('12\n');
  });

  it('looks for programs in the path of its environment', async () => {
    const host = new LocalHost({ env: { PATH: '/nowhere' } });
    expect((await host.run(['true'], { expect: 'any' })).exitCode).toBe(127);
  });
});
