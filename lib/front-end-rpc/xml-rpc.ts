/** XML-RPC, the part that VCL's front end speaks: calls out, answers and faults in. Pure. */
import { ProvisiondError } from '../errors';
import { type XmlNode, buildXml, childrenOf, firstOf, parseXml, textOf } from '../xml';

export type RpcValue = string | number | boolean | null | readonly RpcValue[] | { readonly [name: string]: RpcValue };

export type RpcAnswer =
  | { readonly kind: 'value'; readonly value: RpcValue }
  | { readonly kind: 'fault'; readonly code: number; readonly message: string };

/** A call as a document. */
export function encodeCall(method: string, parameters: readonly RpcValue[]): string {
  const param = parameters.map((value) => ({ value: encode(value) }));
  const call = { methodCall: { methodName: method, params: param.length > 0 ? { param } : '' } };
  return `<?xml version="1.0" encoding="UTF-8"?>\n${buildXml(call)}`;
}

function encode(value: RpcValue): object {
  if (value === null) return { nil: '' };
  if (typeof value === 'string') return { string: value };
  if (typeof value === 'boolean') return { boolean: value ? '1' : '0' };
  if (typeof value === 'number') return isInt(value) ? { int: String(value) } : { double: String(value) };
  if (isList(value)) return { array: { data: { value: value.map(encode) } } };
  const member = Object.entries(value).map(([name, inner]) => ({ name, value: encode(inner) }));
  return { struct: member.length > 0 ? { member } : '' };
}

/** A value as words. */
export function textOfValue(value: RpcValue | undefined): string {
  if (value === undefined || value === null || value === '') return 'no reason given';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** XML-RPC's int has four bytes. */
const isInt = (value: number): boolean => Number.isInteger(value) && Math.abs(value) < 2 ** 31;
const isList = (value: object): value is readonly RpcValue[] => Array.isArray(value);

/** @throws FRONT_END_UNREACHABLE when the text is no answer at all: a web server's own page, for example */
export function decodeAnswer(text: string): RpcAnswer {
  const response = parseXml(text, 'the answer of the front end', 'FRONT_END_UNREACHABLE')['methodResponse'];
  const fault = firstOf(response, 'fault', 'value');
  if (fault) {
    const { faultCode, faultString } = decode(fault) as { faultCode?: RpcValue; faultString?: RpcValue };
    return { kind: 'fault', code: Number(faultCode ?? 0), message: textOfValue(faultString) };
  }
  const value = firstOf(response, 'params', 'param', 'value');
  if (value) return { kind: 'value', value: decode(value) };
  throw new ProvisiondError('FRONT_END_UNREACHABLE', 'the answer of the front end is no XML-RPC');
}

/** @param node a `<value>`; one without a type is a string */
function decode(node: XmlNode): RpcValue {
  const type = Object.keys(node).find((name) => name !== '_' && name !== '$');
  if (type === undefined) return node._ ?? '';
  const inner = firstOf(node, type)!;
  const text = inner._ ?? '';
  switch (type) {
    case 'int':
    case 'i4':
    case 'double':
      return decodeNumber(text);
    case 'boolean':
      return text.trim() === '1' || text.trim() === 'true';
    case 'nil':
      return null;
    case 'array':
      return childrenOf(firstOf(inner, 'data'), 'value').map(decode);
    case 'struct':
      return Object.fromEntries(
        childrenOf(inner, 'member').map((member) => [
          textOf(member, 'name') ?? '',
          decode(firstOf(member, 'value') ?? {}),
        ]),
      );
    default:
      return text; // string, dateTime.iso8601, base64: nothing that we ask for is more than text
  }
}

function decodeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new ProvisiondError('FRONT_END_UNREACHABLE', `the answer of the front end has '${text}' for a number`);
}
