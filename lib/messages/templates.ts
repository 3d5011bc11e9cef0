/**
 * What is said: the site's own text where VCL's `variable` table has one (`usermessage|NAME|AFFILIATION or Global`,
 * `adminmessage|NAME`, YAML), else ours, which is short.
 */
import { parseYamlValue } from '../config/yaml-value';
import { ProvisiondError } from '../errors';

export interface Template {
  readonly subject: string;
  readonly message: string;
  /** For the console of the guest; null: the subject will do. */
  readonly short: string | null;
}

const own = (subject: string, message: string, short: string | null = null): Template => ({ subject, message, short });

const WHERE = 'Your reservations: [user_affiliation_sitewwwaddress]';
const FACTS =
  'Request [request_id], reservation [reservation_id] of [user_login_id] on [computer_short_name], ' +
  'image [image_name] (revision [imagerevision_id]), management node [management_node_short_name].';

/** The names are VCL's. */
export const USER_MESSAGES = {
  reserved: own(
    'Your reservation of [image_prettyname] is ready',
    `The computer is ready. Press Connect within the time shown, or it goes to somebody else.\n\n${WHERE}`,
  ),
  reinstalled: own(
    'Your reservation of [image_prettyname] was reinstalled',
    `The computer is fresh and ready. Press Connect to go on.\n\n${WHERE}`,
  ),
  timeout_no_acknowledgement: own(
    'Your reservation of [image_prettyname] has timed out',
    `Nobody pressed Connect in time, so the computer went to somebody else.\n\n${WHERE}`,
  ),
  timeout_no_initial_connection: own(
    'Your reservation of [image_prettyname] has timed out',
    `Nobody connected to the computer in time, so it went to somebody else.\n\n${WHERE}`,
  ),
  timeout_inactivity: own(
    'Your reservation of [image_prettyname] has timed out',
    `Nobody was connected to the computer for a while, so the reservation was ended.\n\n${WHERE}`,
  ),
  endtime_imminent: own(
    '[notice_interval] until the end of your reservation of [image_prettyname]',
    `Please save your work. If nobody else waits for the computer, you can extend the reservation.\n\n${WHERE}`,
    '[notice_interval] until the end of your reservation. Please save your work and log off.',
  ),
  endtime_imminent_imaging: own(
    '[notice_interval] until your image of [image_prettyname] is captured',
    `The reservation ends then, and the computer is captured as it is, so that nothing is lost.\n\n${WHERE}`,
    '[notice_interval] until this computer is captured as an image.',
  ),
  future_endtime: own(
    '[notice_interval] until the end of your reservation of [image_prettyname]',
    `If nobody else waits for the computer, you can extend the reservation.\n\n${WHERE}`,
    '[notice_interval] until the end of your reservation.',
  ),
  endtime_reached: own(
    'Your reservation of [image_prettyname] has ended',
    `Its time is over. You can make another one.\n\n${WHERE}`,
  ),
  endtime_reached_imaging: own(
    'Your image of [image_prettyname] is being captured',
    `The time of the reservation is over. So that nothing is lost, its computer is captured; you will hear of it.\n\n${WHERE}`,
  ),
  image_creation_success: own('Your image [image_prettyname] is there', `It can be reserved now.\n\n${WHERE}`),
  image_checkpoint_success: own(
    'Your image [image_prettyname] is there',
    `The computer is ready again: press Connect to go on.\n\n${WHERE}`,
  ),
  image_creation_delayed: own(
    'Your image [image_prettyname] is delayed',
    'It could not be captured. The computer is kept as it is, and the administrators have been told.',
  ),
  production_imagerevision: own(
    'Revision [imagerevision_revision] of [image_prettyname] is in production',
    `New reservations of the image get this revision.\n\n${WHERE}`,
  ),
} as const satisfies Record<string, Template>;

export const ADMIN_MESSAGES = {
  image_creation_started: own('Image [image_name] is being captured', FACTS),
  image_creation_complete: own('Image [image_name] was captured ([image_capture_type])', FACTS),
  image_creation_failed: own(
    'Image [image_name] could not be captured',
    `${FACTS}\n\nRequest and computer are in maintenance; nothing of the machine was removed.`,
  ),
} as const satisfies Record<string, Template>;

export type UserMessage = keyof typeof USER_MESSAGES;
export type AdminMessage = keyof typeof ADMIN_MESSAGES;

/** @param affiliation of the user: its own row wins over the one for all */
export function userVariables(name: UserMessage, affiliation: string): string[] {
  return [`usermessage|${name}|${affiliation}`, `usermessage|${name}|Global`];
}

export function adminVariables(name: AdminMessage): string[] {
  return [`adminmessage|${name}`];
}

/**
 * A template as it stands in the table.
 * @param what names the row in the error @throws REQUEST_INVALID
 */
export function readTemplate(yaml: string, what: string): Template {
  const value = parseYamlValue(yaml, what);
  const { subject, message, short_message: short } = (value ?? {}) as Record<string, unknown>;
  if (typeof subject !== 'string' || typeof message !== 'string') {
    throw new ProvisiondError('REQUEST_INVALID', `${what} must have the texts subject and message`);
  }
  return { subject, message, short: typeof short === 'string' && short.trim() !== '' ? short : null };
}

export type Substitutions = Readonly<Record<string, string>>;

const IDENTIFIER = /\[([a-z][a-z0-9_]*)\]/g;

/** The text with every `[identifier]` replaced that is known; others stay as they are, for a reader to see. */
export function substitute(text: string, substitutions: Substitutions): string {
  return text.replace(IDENTIFIER, (whole, name: string) =>
    Object.hasOwn(substitutions, name) ? substitutions[name]! : whole,
  );
}

/** What of a template cannot be replaced, for the log. */
export function unknownIdentifiers({ subject, message, short }: Template, substitutions: Substitutions): string[] {
  const found = [subject, message, short ?? ''].flatMap((text) =>
    [...text.matchAll(IDENTIFIER)].map(([, name]) => name!),
  );
  return [...new Set(found)].filter((name) => !Object.hasOwn(substitutions, name));
}

export function fillTemplate(template: Template, substitutions: Substitutions): Template {
  const { subject, message, short } = template;
  return {
    subject: substitute(subject, substitutions).replace(/\s+/g, ' ').trim(),
    message: `${substitute(message, substitutions).replace(/^\n+|\n+$/g, '')}\n`,
    short: short === null ? null : substitute(short, substitutions).trim(),
  };
}
