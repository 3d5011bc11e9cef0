import { describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadConfig } from '../../../lib/config/load';
import { importVcldConfig } from '../../../lib/config/vcld';

const VCLD = `# FQDN: DNS name
FQDN=mn1.vcl.test
database=vcl
server=db.vcl.test
LockerWrtUser=vcluser
wrtPass=p@ss/w#rd
XMLRPC_username=vclsystem@Local
xmlrpc_pass=geheim
xmlrpc_url=https://vcl.test/vcl/index.php?mode=xmlrpccall
RETURNPATH=bounce@vcl.test
jabber=no
mystery=1
`;

describe("vcld's configuration", () => {
  it('becomes one of ours that is valid and means the same', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'vcld-'));
    const file = path.join(folder, 'provisiond.yaml');
    writeFileSync(file, importVcldConfig(VCLD).yaml, { mode: 0o600 });
    const { config } = loadConfig({ file, env: {}, folder });
    expect(config).toMatchObject({
      managementNode: 'mn1.vcl.test',
      database: 'mysql://vcluser:p%40ss%2Fw%23rd@db.vcl.test/vcl',
      xmlrpc: { url: 'https://vcl.test/vcl/index.php?mode=xmlrpccall', user: 'vclsystem@Local', password: 'geheim' },
      mail: { transport: 'sendmail', returnPath: 'bounce@vcl.test' },
    });
    rmSync(folder, { recursive: true });
  });

  it('comes with notes on what is different, and on what is not understood', () => {
    const notes = importVcldConfig(VCLD).notes.join('\n');
    expect(notes).toMatch(/did not verify the certificate/);
    expect(notes).toMatch(/Not understood: mystery\./);
    expect(importVcldConfig('FQDN=\n').notes.join('\n')).toMatch(/FQDN is not set.*\nserver is not set/);
  });
});
