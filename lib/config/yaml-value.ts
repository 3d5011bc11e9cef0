/** YAML that stands in the database: VCL's variables of serialization `yaml`. */
import { parse } from 'yaml';
import { ProvisiondError } from '../errors';

/** @param what names the value in the error @throws REQUEST_INVALID */
export function parseYamlValue(text: string, what: string): unknown {
  try {
    return parse(text, { maxAliasCount: 0 }) as unknown;
  } catch (cause) {
    throw new ProvisiondError('REQUEST_INVALID', `${what} is no YAML`, { cause });
  }
}
