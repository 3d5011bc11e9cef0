/**
 * XML in and out: the only user of xml2js.
 *
 * Traps: the order of children with different names is lost, so a tree that was read is never built again into a
 * definition that somebody else wrote; an undefined child would become an empty element, so trees are pruned first.
 */
import { Builder, parseString } from 'xml2js';
import { type ErrorCode, ProvisiondError } from './errors';
import type { XmlNode } from './plugins/api';

export type { XmlNode };

/** A whole document: its one root element by name. */
export type XmlDocument = Record<string, XmlNode>;

/**
 * Reads a document. Every child is an array, text is always in `_`; nothing is fetched from anywhere.
 * @param what names the document in the error
 * @param code  whose document it is
 * @throws `code` when it is not well-formed
 */
export function parseXml(text: string, what: string, code: ErrorCode = 'LIBVIRT_FAILED'): XmlDocument {
  let failure: Error | null = null;
  let root: unknown = null;
  parseString(text, { explicitCharkey: true, async: false }, (error, result: unknown) => {
    failure ??= error;
    root = result;
  });
  if (failure !== null || typeof root !== 'object' || root === null) {
    throw new ProvisiondError(code, `${what} is no well-formed XML`, { cause: failure ?? undefined });
  }
  const [name, element] = Object.entries(root as Record<string, unknown>)[0]!;
  return { [name]: normalise(element) };
}

/** Elements without attributes and children come as plain strings; here they become nodes like all others. */
function normalise(element: unknown): XmlNode {
  if (typeof element === 'string') return element === '' ? {} : { _: element };
  const node: XmlNode = {};
  for (const [key, value] of Object.entries(element as Record<string, unknown>)) {
    if (key === '$') node.$ = value as Record<string, string>;
    else if (key === '_') node._ = value as string;
    else node[key] = (value as unknown[]).map(normalise);
  }
  return node;
}

/** What XML 1.0 cannot hold in any form. */
// eslint-disable-next-line no-control-regex
const ILLEGAL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu;

/** Writes a document without an XML declaration; children and attributes that are undefined are left out. */
export function buildXml(document: object): string {
  const pruned = prune(document) as Record<string, unknown>;
  return `${new Builder({ headless: true }).buildObject(pruned)}\n`;
}

function prune(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(ILLEGAL, '');
  if (Array.isArray(value)) return value.filter((item) => item !== undefined && item !== null).map(prune);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(
    ([, child]) => child !== undefined && child !== null && !(Array.isArray(child) && child.length === 0),
  );
  return Object.fromEntries(kept.map(([key, child]) => [key, prune(child)]));
}

/** All children of that name; none is an empty list. */
export function childrenOf(node: XmlNode | undefined, name: string): readonly XmlNode[] {
  const found = node?.[name];
  return Array.isArray(found) ? found : [];
}

/** The first node down a path of names. */
export function firstOf(node: XmlNode | undefined, ...path: readonly string[]): XmlNode | undefined {
  return path.reduce<XmlNode | undefined>((parent, name) => childrenOf(parent, name)[0], node);
}

/** Text of the first node down a path; undefined when there is none. */
export function textOf(node: XmlNode | undefined, ...path: readonly string[]): string | undefined {
  return firstOf(node, ...path)?._?.trim();
}
