/** Apache VCL's `vcld.conf` as a configuration of ours. Pure: text in, text out. */
import { stringify } from 'yaml';

export interface ImportedConfig {
  /** The file's text; holds passwords. */
  readonly yaml: string;
  /** What a person should know or do, a sentence each. */
  readonly notes: readonly string[];
}

type Keys = Readonly<Record<string, string | undefined>>;

/** Where vcld's own installation has its scripts of stages. */
const VCL_TOOLS = '/usr/local/vcl/tools';

/** Says nothing that provisiond would need. */
const WITHOUT_MEANING = ['processname', 'pidfile', 'lockerrdonlyuser', 'rdonlypass', 'mysql_ssl_cert'];

const KNOWN = [
  ...['fqdn', 'log', 'database', 'server', 'lockerwrtuser', 'wrtpass', 'xmlrpc_username', 'xmlrpc_pass', 'xmlrpc_url'],
  ...['returnpath', 'enable_mysql_ssl', 'verbose', 'windows_root_password', 'jabber', 'defaulthelpemail'],
  ...WITHOUT_MEANING,
];

/** @param text of `vcld.conf`: `key=value` lines, keys in any case, `#` before comments */
export function importVcldConfig(text: string): ImportedConfig {
  const keys = readKeys(text);
  const settings = {
    ...(keys['fqdn'] && { managementNode: keys['fqdn'] }),
    ...databaseOf(keys),
    ...xmlrpcOf(keys),
    mail: { transport: 'sendmail', ...(keys['returnpath'] && { returnPath: keys['returnpath'] }) },
    scripts: { onNode: [`${VCL_TOOLS}/ManagementNode/Scripts`], inGuest: [`${VCL_TOOLS}/Linux/Scripts`] },
    ...(keys['verbose'] === '1' && { log: { level: 'debug' } }),
  };
  const header =
    "# Made from vcld's configuration by 'provisiond import-vcld'. Holds passwords: keep it readable by root only.\n";
  return { yaml: header + stringify(settings, { lineWidth: 0 }), notes: notesOn(keys) };
}

function readKeys(text: string): Keys {
  const keys: Record<string, string> = {};
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*([A-Za-z_]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (match && match[2] !== '') keys[match[1]!.toLowerCase()] = match[2]!;
  }
  return keys;
}

function databaseOf({ database, server, lockerwrtuser, wrtpass }: Keys): { database?: string } {
  if (!server || !lockerwrtuser) return {};
  const password = wrtpass ? `:${encodeURIComponent(wrtpass)}` : '';
  return {
    database: `mysql://${encodeURIComponent(lockerwrtuser)}${password}@${server}/${encodeURIComponent(database ?? 'vcl')}`,
  };
}

function xmlrpcOf(keys: Keys): object {
  const { xmlrpc_url: url, xmlrpc_username: user, xmlrpc_pass: password } = keys;
  return url ? { xmlrpc: { url, ...(user && { user }), ...(password && { password }) } } : {};
}

function notesOn(keys: Keys): string[] {
  const notes = [];
  if (!keys['fqdn']) notes.push('FQDN is not set: the name of this machine is taken for the management node.');
  if (!keys['server']) notes.push('server is not set: without it an embedded database is used, not that of VCL.');
  if (!keys['xmlrpc_url'])
    notes.push('xmlrpc_url is not set: no block allocations, no capture at the end of imaging reservations.');
  else if (keys['xmlrpc_url'].startsWith('http:')) {
    notes.push(
      'xmlrpc_url is plain http, which is refused for other machines: the password would go over the network in clear.',
    );
  } else
    notes.push(
      'vcld did not verify the certificate of the web server; provisiond does. Set xmlrpc.caFile for one of your own.',
    );
  if (keys['enable_mysql_ssl'] === 'yes')
    notes.push('enable_mysql_ssl has no counterpart yet: the database is asked without TLS.');
  if (keys['jabber'] === 'yes') notes.push('Jabber messages are not sent.');
  if (keys['windows_root_password'])
    notes.push('windows_root_password is not taken over: provisiond logs in to Windows with its key.');
  const unknown = Object.keys(keys).filter((key) => !KNOWN.includes(key) && !key.startsWith('jab'));
  if (unknown.length > 0) notes.push(`Not understood: ${unknown.join(', ')}.`);
  return notes;
}
