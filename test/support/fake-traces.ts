/** What reservations leave on fake hosts, in their guests and in the rows of a fake site. */
import { STATE_IDS } from '../../lib/model/states';
import type { Database } from '../../lib/store/database';
import type { FakeGuests } from './fake-guest';
import type { FakeHost } from './fake-host';

/** On a host and in its guests; a line each. */
export function tracesOn(name: string, host: FakeHost, guests: FakeGuests): string[] {
  const domains = host
    .domains()
    .flatMap((domain) => [
      `domain ${domain.name} on ${name}: ${domain.state}, started ${domain.boots} times`,
      ...inGuest(guests, domain.name).map((line) => `guest ${domain.name}: ${line}`),
    ]);
  const files = ['vms', 'xml'].flatMap((folder) =>
    host
      .files(folder)
      .filter((file) => !file.endsWith('.load')) // the note of the fence stays
      .map((file) => `file ${name}/${folder}/${file}`),
  );
  const entries = host.dhcpHosts('private', 'config').map(({ mac, ip }) => `address ${mac} ${ip} on ${name}`);
  return [...domains, ...files, ...entries];
}

/** Marks of the image without their times, and the accounts. */
function inGuest(guests: FakeGuests, domain: string): string[] {
  const linesOf = (file: string) => (guests.read(domain, file) ?? '').split('\n').filter(Boolean);
  const marks = linesOf('/root/currentimage.txt').filter((mark) => !mark.startsWith('imagerevision_datecreated='));
  const accounts = linesOf('/etc/passwd').filter((line) => /^student:/.test(line));
  return [
    ...marks.map((mark) => mark.replace(/ ?\(.*\)$/, '')),
    ...accounts.map((line) => `account ${line.split(':')[0]}`),
  ];
}

/** What the rows say of computers, and which reloads are ordered; a line each. */
export async function tracesInRows(database: Database): Promise<string[]> {
  const rows = await database.rows<{ hostname: string; currentimageid: number; known: number }>(
    `select c.hostname, c.currentimageid, g.computerid is not null as known from computer c
     left join provisiond_guest g on g.computerid = c.id order by c.id`,
  );
  const reloads = await database.rows('select id from request where stateid = ?', [STATE_IDS.reload]);
  return [
    ...rows.flatMap(({ hostname, currentimageid, known }) => [
      ...(currentimageid !== 1 ? [`computer ${hostname} is said to hold image ${currentimageid}`] : []),
      ...(known ? [`the key of guest ${hostname} is known`] : []),
    ]),
    ...reloads.map(() => 'a reload is ordered'),
  ];
}
