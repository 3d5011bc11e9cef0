import { describe, expect, it } from '@jest/globals';
import {
  ADMIN_MESSAGES,
  type Template,
  USER_MESSAGES,
  fillTemplate,
  readTemplate,
  substitute,
  unknownIdentifiers,
  userVariables,
} from '../../../lib/messages/templates';

/** As in VCL's `variable` table. */
const ROW = `---
message: |
  Your reservation of [image_prettyname] has ended. Thank you for using [user_affiliation_sitewwwaddress].

  Regards,
  VCL Team
short_message: ~
subject: 'VCL -- End of reservation'
`;

describe('a template', () => {
  it('is read from the YAML of a row of VCL', () => {
    expect(readTemplate(ROW, 'the row')).toMatchObject({ subject: 'VCL -- End of reservation', short: null });
  });

  it.each(['', 'just words', 'subject: only\n', '- 1\n', 'subject: [\n', 'subject: &a [*a]\nmessage: x\n'])(
    'that is none (%j) is refused',
    (yaml) => {
      expect(() => readTemplate(yaml, 'the row')).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }));
    },
  );

  it('has its identifiers replaced, and leaves what is unknown for a reader to see', () => {
    const words = 'Dear [user_firstname], [image_prettyname] [nobody_knows] [Not One] [1]';
    const known = { user_firstname: 'Ada', image_prettyname: '[user_firstname]' };
    expect(substitute(words, known)).toBe('Dear Ada, [user_firstname] [nobody_knows] [Not One] [1]');
  });

  it('makes a subject of one line, whatever the names of images hold', () => {
    const template: Template = { subject: '[image_prettyname] ready', message: '\n\nbody\n\n', short: null };
    const filled = fillTemplate(template, { image_prettyname: 'Evil\r\nBcc: all@vcl.test' });
    expect(filled).toEqual({ subject: 'Evil Bcc: all@vcl.test ready', message: 'body\n', short: null });
  });

  it('of the user’s own affiliation comes before the one for all', () => {
    expect(userVariables('reserved', 'Physics')).toEqual([
      'usermessage|reserved|Physics',
      'usermessage|reserved|Global',
    ]);
  });

  it('of ours has a subject and a text, and asks for nothing that VCL does not know', () => {
    const known = Object.fromEntries(
      [
        'image_prettyname image_name imagerevision_id imagerevision_revision user_affiliation_sitewwwaddress user_login_id',
        'request_id reservation_id computer_short_name management_node_short_name notice_interval image_capture_type',
      ]
        .join(' ')
        .split(' ')
        .map((name) => [name, 'x']),
    );
    for (const template of [...Object.values(USER_MESSAGES), ...Object.values(ADMIN_MESSAGES)]) {
      expect(template.subject).toMatch(/\w/);
      expect(template.message).toMatch(/\w/);
      expect(unknownIdentifiers(template, known)).toEqual([]);
    }
  });
});
