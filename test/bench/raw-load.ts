/** The floor: the raw work of a load, by a plain shell script (raw-load.sh) with the domain XML that provisiond made. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { USER, type Site } from '../support/site';

const NAME = 'raw1';
const PRIVATE = { mac: '52:54:00:be:0c:01', ip: '192.168.121.99' };
const PUBLIC_MAC = '52:54:00:be:0c:02';

export interface RawLoad {
  /** Milliseconds until the domain was started, from there to the first ssh answer, and from there to the user. */
  readonly host: number;
  readonly boot: number;
  readonly guest: number;
}

/** @param domainXml of a domain that provisiond loaded */
export async function loadRaw(site: Site, domainXml: string): Promise<RawLoad> {
  const folder = path.join(site.folder, 'raw');
  mkdirSync(folder, { recursive: true, mode: 0o711 });
  const variables = {
    host_key: site.lab.sshKeyFile,
    guest_key: site.lab.guestKeyFile,
    folder,
    base: site.masterFile,
    network: 'private',
    name: NAME,
    ...PRIVATE,
    user: USER,
  };
  const script = spawn(path.join(__dirname, 'raw-load.sh'), {
    env: { ...process.env, ...variables },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  script.stdin.end(ownXml(domainXml, folder));
  const [output, [code]] = await Promise.all([text(script.stdout), once(script, 'exit')]);
  if (code !== 0) throw new Error(`raw-load.sh ended with ${code}: ${output}`);
  const laps = new Map(output.split('\n').map((line) => line.split(' ') as [string, string]));
  return { host: Number(laps.get('host')), boot: Number(laps.get('boot')), guest: Number(laps.get('guest')) };
}

/** The same hardware under another name, with disk and addresses of its own. */
function ownXml(xml: string, folder: string): string {
  const macs = [PRIVATE.mac, PUBLIC_MAC];
  return xml
    .replace(/<name>[^<]*<\/name>/, `<name>${NAME}</name>`)
    .replace(/<uuid>[^<]*<\/uuid>/, '')
    .replace(/<metadata>[^]*<\/metadata>/, '')
    .replace(/<source file='[^']*'/, `<source file='${folder}/${NAME}.qcow2'`)
    .replace(/<log file='[^']*'/g, `<log file='${folder}/${NAME}.log'`)
    .replace(/<source path='[^']*'/g, '<source')
    .replace(/<mac address='[^']*'/g, () => `<mac address='${macs.shift()}'`);
}
