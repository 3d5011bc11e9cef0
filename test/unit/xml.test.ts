import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { buildXml, childrenOf, firstOf, parseXml, textOf } from '../../lib/xml';

describe('XML', () => {
  it('is read into arrays, one child or many, with or without attributes', () => {
    const { domain } = parseXml('<domain type="kvm"><os><boot dev="hd"/><boot/></os><name> vm1 </name></domain>', 'it');
    expect(childrenOf(firstOf(domain, 'os'), 'boot')).toEqual([{ $: { dev: 'hd' } }, {}]);
    expect(textOf(domain, 'name')).toBe('vm1');
    expect(textOf(domain, 'nothing', 'here')).toBeUndefined();
  });

  it('leaves out what is undefined instead of writing empty elements', () => {
    expect(buildXml({ domain: { name: [{ _: 'vm1' }], graphics: undefined, disk: [] } })).toBe(
      '<domain>\n  <name>vm1</name>\n</domain>\n',
    );
  });

  it('that is not well-formed is an error that names what was read', () => {
    expect(() => parseXml('<domain>', 'the XML of domain vm1')).toThrow(/the XML of domain vm1/);
    expect(() => parseXml('', 'nothing')).toThrow(/nothing/);
  });

  it('carries any text that a database column can hold', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const written = buildXml({ a: { $: { b: text }, c: [{ _: `x${text}x` }] } });
        const { a } = parseXml(written, 'what was written');
        // eslint-disable-next-line no-control-regex
        const legal = text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, '');
        expect(textOf(a, 'c')?.replace(/\r\n?/g, '\n')).toBe(`x${legal}x`.replace(/\r\n?/g, '\n'));
        expect(a!.$!.b!.replace(/\s/g, ' ')).toBe(legal.replace(/\s/g, ' '));
      }),
    );
  });
});
