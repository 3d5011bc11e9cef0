/** The table of settings as the file that ships: conf/provisiond.yaml. */
import { stringify } from 'yaml';
import { SETTINGS, SETTING_KEYS, type Setting, type SettingKey, documentedDefault, environmentName } from './schema';

const SURROUNDINGS = { hostname: 'node1.example.org', stateDir: '/var/lib/provisiond' };

const HEADER = `# Configuration of provisiond: every key with its default.
#
# Read from --config FILE, else from the file that PROVISIOND_CONFIG names, else from /etc/provisiond/provisiond.yaml.
# Each key can be set by the environment variable named beside it as well; the environment wins.
# 'provisiond config' shows what is in force and where it came from. 'provisiond config --defaults' prints this file.
`;

/** The text of conf/provisiond.yaml: all keys, commented out, so that a copy of it changes nothing. */
export function renderDefaults(): string {
  const parts = [HEADER];
  let group = '';
  for (const key of SETTING_KEYS) {
    const prefix = key.includes('.') ? key.split('.')[0]! : '';
    if (prefix !== group) parts.push(`\n#${prefix}:\n`);
    group = prefix;
    parts.push((prefix === '' ? '\n' : '') + renderSetting(key, prefix === '' ? '' : '  '));
  }
  return parts.join('');
}

function renderSetting(key: SettingKey, indent: string): string {
  const { about, expects, secret } = SETTINGS[key] as Setting<unknown>;
  const value = documentedDefault(key, SURROUNDINGS);
  const variable = environmentName(key);
  const comment = indent === '' ? '# ' : `#${indent}# `;
  const lines = [
    `${comment}${about}`,
    `${comment}${capitalise(expects)}. ${variable}${secret ? `, or ${variable}_FILE: a file that holds it` : ''}`,
  ];
  const note = key === 'managementNode' ? '  # by default: the name of this machine' : '';
  const text = stringify({ [key.split('.').at(-1)!]: value }, { lineWidth: 0 }).trimEnd();
  lines.push(...text.split('\n').map((line, index) => `#${indent}${line}${index === 0 ? note : ''}`));
  return lines.map((line) => `${line}\n`).join('');
}

function capitalise(text: string): string {
  return /^[a-z]+ /.test(text) ? text[0]!.toUpperCase() + text.slice(1) : text;
}
