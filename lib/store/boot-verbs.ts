/** Boot parameters in the database: JSON, a row a computer, an image or a VM profile. */
import { ProvisiondError } from '../errors';
import { BOOT_FIELDS, type BootParameters } from '../model/boot';

/**
 * Parameters as the database holds them.
 * @throws BOOT_INVALID for what is no object of known texts
 */
export function readBootParameters(json: string): BootParameters {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new ProvisiondError('BOOT_INVALID', `boot parameters are no JSON: ${json.slice(0, 80)}`, { cause });
  }
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [['', value]];
  for (const [field, text] of entries) {
    if ((BOOT_FIELDS as readonly unknown[]).includes(field) && typeof text === 'string') continue;
    const message = `boot parameter ${JSON.stringify(field)} is not known, or no text; there are: ${BOOT_FIELDS.join(', ')}`;
    throw new ProvisiondError('BOOT_INVALID', message);
  }
  return value as BootParameters;
}
