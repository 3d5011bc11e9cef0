/** The floor: the raw work of a load, by a plain shell script (raw-load.sh) with the domain XML that provisiond made. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Site } from '../support/site';
import { USER } from '../support/site-rows';

/** Of the raw load with this number: a machine that the site does not know. */
function placeOf(number: number) {
  const last = (0x10 + number).toString(16);
  return {
    name: `raw${number}`,
    mac: `52:54:00:be:0c:${last}`,
    publicMac: `52:54:00:be:0d:${last}`,
    ip: `192.168.121.${98 + number}`,
  };
}

export interface RawLoad {
  /** Milliseconds until the domain was started, from there to the first ssh answer, and from there to the user. */
  readonly host: number;
  readonly boot: number;
  readonly guest: number;
}

/** @param domainXml of a domain that provisiond loaded */
export async function loadRaw(site: Site, domainXml: string): Promise<RawLoad> {
  const raw = startRaw(site, domainXml, 1);
  const load = await raw.loaded;
  await raw.end();
  return load;
}

export interface StartedRaw {
  readonly loaded: Promise<RawLoad>;
  /** Takes the machine down, which runs until then. */
  readonly end: () => Promise<void>;
}

/** @param number one that no other raw load has at the moment */
export function startRaw(site: Site, domainXml: string, number: number): StartedRaw {
  const { publicMac, ...place } = placeOf(number);
  const folder = path.join(site.folder, place.name);
  mkdirSync(folder, { recursive: true, mode: 0o711 });
  const hold = path.join(folder, 'hold');
  writeFileSync(hold, '');
  const variables = {
    host_key: site.lab.sshKeyFile,
    guest_key: site.lab.guestKeyFile,
    ...{ folder, hold, base: site.masterFile, network: 'private', user: USER },
    ...place,
  };
  const script = spawn(path.join(__dirname, 'raw-load.sh'), {
    env: { ...process.env, ...variables },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(script, 'exit');
  script.stdin.end(ownXml(domainXml, folder, { ...place, publicMac }));
  return {
    loaded: lapsOf(script.stdout),
    end: async () => {
      rmSync(hold, { force: true });
      const [code] = await ended;
      if (code !== 0) throw new Error(`raw-load.sh ended with ${code}`);
    },
  };
}

async function lapsOf(output: Readable): Promise<RawLoad> {
  const laps = new Map<string, number>();
  for await (const line of createInterface(output)) {
    const [name, milliseconds] = line.split(' ') as [string, string];
    laps.set(name, Number(milliseconds));
    if (name === 'guest') return { host: laps.get('host')!, boot: laps.get('boot')!, guest: laps.get('guest')! };
  }
  throw new Error(`raw-load.sh ended after ${[...laps.keys()].join(', ') || 'nothing'}`);
}

/** The same hardware under another name, with disk and addresses of its own. */
function ownXml(xml: string, folder: string, { name, mac, publicMac }: ReturnType<typeof placeOf>): string {
  const macs = [mac, publicMac];
  return xml
    .replace(/<name>[^<]*<\/name>/, `<name>${name}</name>`)
    .replace(/<uuid>[^<]*<\/uuid>/, '')
    .replace(/<metadata>[^]*<\/metadata>/, '')
    .replace(/<source file='[^']*'/, `<source file='${folder}/${name}.qcow2'`)
    .replace(/<log file='[^']*'/g, `<log file='${folder}/${name}.log'`)
    .replace(/<source path='[^']*'/g, '<source')
    .replace(/<mac address='[^']*'/g, () => `<mac address='${macs.shift()}'`);
}
