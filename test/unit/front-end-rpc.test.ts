import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decodeAnswer, encodeCall, type RpcValue } from '../../lib/front-end-rpc/xml-rpc';

/** What was sent, as an answer with the same value. */
function back(value: RpcValue): RpcValue {
  const call = encodeCall('XMLRPCtest', [value]);
  const answer = decodeAnswer(
    call.replace(/methodCall/g, 'methodResponse').replace(/<methodName>.*<\/methodName>/, ''),
  );
  return answer.kind === 'value' ? answer.value : null;
}

describe('XML-RPC', () => {
  it('names the function and its parameters', () => {
    expect(encodeCall('XMLRPCprocessBlockTime', ['7', 1]).replace(/\s+/g, '')).toContain(
      '<methodCall><methodName>XMLRPCprocessBlockTime</methodName><params>' +
        '<param><value><string>7</string></value></param><param><value><int>1</int></value></param></params></methodCall>',
    );
  });

  it('brings every value there and back, whatever characters are in it', () => {
    const text = fc.string().map((words) => `x${words.replace(/[^\x20-\x7eäß€]/g, '')}x`);
    const leaf = fc.oneof(text, fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }), fc.boolean());
    const value = fc.oneof(leaf, fc.array(leaf, { minLength: 1 }), fc.dictionary(text, leaf, { minKeys: 1 }));
    fc.assert(
      fc.property(value, (each) => expect(back(each)).toEqual(each)),
      { numRuns: 200 },
    );
  });

  it('takes a value without a type for text, as the standard says', () => {
    const answer = '<methodResponse><params><param><value>yes</value></param></params></methodResponse>';
    expect(decodeAnswer(answer)).toEqual({ kind: 'value', value: 'yes' });
  });

  it('reads a fault as a refusal, with code and words', () => {
    const member = (name: string, value: string) => `<member><name>${name}</name><value>${value}</value></member>`;
    const struct = `<struct>${member('faultCode', '<int>3</int>')}${member('faultString', '<string>denied</string>')}</struct>`;
    const text = `<methodResponse><fault><value>${struct}</value></fault></methodResponse>`;
    expect(decodeAnswer(text)).toEqual({ kind: 'fault', code: 3, message: 'denied' });
  });

  it.each(['<html><body>down for maintenance</body></html>', 'not found', '', '<methodResponse/>'])(
    'takes %j for no answer at all',
    (text) => {
      expect(() => decodeAnswer(text)).toThrow(expect.objectContaining({ code: 'FRONT_END_UNREACHABLE' }));
    },
  );
});
