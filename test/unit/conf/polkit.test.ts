/** The polkit rule for hosts (conf/host), run as polkit runs it: as plain JavaScript with an object `polkit`. */
import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';

const text = readFileSync(path.join(__dirname, '../../../conf/host/50-provisiond.rules'), 'utf8');

type Rule = (action: { id: string; lookup(key: string): string | undefined }, subject: { user: string }) => string;

function decide(id: string, lookup: Record<string, string> = {}, user = 'provisiond'): string {
  let rule: Rule | undefined;
  const Result = { YES: 'yes', NO: 'no', NOT_HANDLED: 'not handled' };
  vm.runInNewContext(text, { polkit: { Result, addRule: (added: Rule) => (rule = added) } });
  return rule!({ id, lookup: (key) => lookup[key] }, { user });
}

describe('the polkit rule', () => {
  const api = (verb: string) => `org.libvirt.api.${verb}`;

  it.each(['write', 'save', 'delete', 'start', 'stop', 'snapshot'])(
    'lets us %s our own domains and nobody else’s',
    (verb) => {
      expect(decide(api(`domain.${verb}`), { domain_name: 'vm12_TinyLinux_2-v0' })).toBe('yes');
      expect(decide(api(`domain.${verb}`), { domain_name: 'database-of-the-office' })).toBe('no');
      expect(decide(api(`domain.${verb}`), { domain_name: 'not-vm12_x' })).toBe('no');
      expect(decide(api(`domain.${verb}`))).toBe('no');
    },
  );

  it('lets us see all, so that what is in the way can be named', () => {
    for (const verb of ['domain.getattr', 'domain.read', 'network.read', 'connect.search-domains']) {
      expect(decide(api(verb), { domain_name: 'database-of-the-office' })).toBe('yes');
    }
  });

  it('lets us into no memory, console or screen, and not at the host itself', () => {
    for (const verb of [
      'domain.mem-read',
      'domain.open-device',
      'domain.screenshot',
      'connect.write',
      'node-device.write',
    ]) {
      expect(decide(api(verb), { domain_name: 'vm1_x_2-v0' })).toBe('no');
    }
  });

  it('lets us give addresses in the networks that are named, and start or delete none', () => {
    expect(decide(api('network.write'), { network_name: 'private' })).toBe('yes');
    expect(decide(api('network.write'), { network_name: 'other' })).toBe('no');
    expect(decide(api('network.delete'), { network_name: 'private' })).toBe('no');
  });

  it('says nothing of other accounts and of what is not libvirt’s', () => {
    expect(decide(api('domain.stop'), { domain_name: 'vm1_x_2-v0' }, 'alice')).toBe('not handled');
    expect(decide('org.freedesktop.systemd1.manage-units')).toBe('not handled');
  });
});
