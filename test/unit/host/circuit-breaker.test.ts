import { describe, expect, it } from '@jest/globals';
import { CircuitBreaker } from '../../../lib/host/circuit-breaker';

describe('the circuit breaker of a host', () => {
  const options = { failures: 3, pauseMs: 100, openMs: 1_000, openCapMs: 30_000 };
  const clock = { now: 0 };
  const fresh = () => new CircuitBreaker(options, () => clock.now);

  it('asks for a small pause after the first failures', () => {
    const breaker = fresh();
    expect(breaker.pauseMs()).toBe(0);
    breaker.failed(new Error('no'));
    expect([breaker.pauseMs(), breaker.refusesForMs()]).toEqual([100, 0]);
    breaker.failed(new Error('no'));
    expect(breaker.pauseMs()).toBe(200);
    clock.now += 150;
    expect(breaker.pauseMs()).toBe(50);
  });

  it('opens after the third, for a time that doubles up to its cap', () => {
    const breaker = fresh();
    const open: number[] = [];
    for (let i = 0; i < 9; i++) {
      breaker.failed(new Error('no'));
      open.push(breaker.refusesForMs());
    }
    expect(open).toEqual([0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it('lets an attempt through when the time is over, and is closed by a success', () => {
    const breaker = fresh();
    for (let i = 0; i < 3; i++) breaker.failed(new Error('no'));
    clock.now += 1_000;
    expect(breaker.refusesForMs()).toBe(0);
    breaker.succeeded();
    expect([breaker.failures, breaker.lastError]).toEqual([0, undefined]);
  });
});
