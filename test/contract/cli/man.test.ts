/** The manual page says what the program does, and man accepts it. */
import { beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { SETTING_KEYS } from '../../../lib/config/schema';
import { printed } from '../../support/in-process';

describe('the manual page', () => {
  let page: string;

  beforeAll(async () => {
    page = await printed('man');
  });

  it('is accepted by man without a warning', () => {
    const shown = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z'], { input: page, encoding: 'utf8' });
    expect(shown.error).toBeUndefined();
    expect(shown.stderr).toBe('');
  });

  it('has every verb, with an example each, and every key of the configuration', async () => {
    const text = page.replace(/\\-/g, '-');
    const help = await printed('--help');
    const verbs = [...help.matchAll(/^ {2}([a-z-]+)( |$)/gm)]
      .map(([, verb]) => verb!)
      .filter((verb) => verb !== 'help');
    expect(verbs.length).toBeGreaterThan(12);
    for (const verb of verbs) expect(text).toContain(`.SS provisiond ${verb}`);
    for (const key of SETTING_KEYS) expect(text).toContain(`.B ${key},`);
  });
});
