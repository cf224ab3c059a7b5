// SPDX-License-Identifier: Apache-2.0
// What the cases are put together from. Nothing is signed or connected in this file.
import { ext, extension, oid, seq, tlv } from '../../support/forge.js';
import type { Forged, ForgeInput } from '../../support/forge.js';

export type Result = 'accept' | 'refuse';
export type Shape = Partial<Omit<ForgeInput, 'by'>>;

export interface Case {
  readonly id: string;
  readonly expected: Result;
  /** From the anchor down, the leaf not included. */
  readonly cas: readonly Shape[];
  /** What the leaf has beside its purpose, or instead of all of it where `bare`. */
  readonly leaf: readonly Buffer[];
  readonly shape: Shape;
  /** Whether the leaf gets no purpose of its role. */
  readonly bare: boolean;
  readonly name: string;
  /** The one end that the case says something of: a server's where it is about the name that was dialled. */
  readonly end: 'server' | 'client' | null;
  /** Whether another root than the first of `cas` is trusted, and whether the CAs below it are kept back. */
  readonly odd: 'unrelated-root' | 'intermediates-missing' | null;
  /** Makes what no single way from a root down is; `cas`, `leaf` and `shape` then say nothing. */
  readonly graph: ((purpose: readonly Buffer[]) => Chain) | null;
}

/** What a peer presents, and what is trusted. */
export interface Chain {
  readonly leaf: Forged;
  readonly presented: readonly Forged[];
  readonly anchors: readonly Forged[];
}

export type More = Partial<Omit<Case, 'id' | 'expected' | 'cas'>>;
const of =
  (expected: Result) =>
  (id: string, cas: readonly Shape[], more: More = {}): Case => ({
    id,
    expected,
    cas,
    leaf: host(),
    shape: {},
    bare: false,
    name: 'example.com',
    end: null,
    odd: null,
    graph: null,
    ...more,
  });
export const good = of('accept');
export const bad = of('refuse');

export const dns = (text: string): Buffer => tlv(0x82, Buffer.from(text));
export const ip = (...bytes: number[]): Buffer => tlv(0x87, Buffer.from(bytes));
export const dn = (cn: string): Buffer =>
  tlv(0xa4, seq(tlv(0x31, seq(oid('2.5.4.3'), tlv(12, Buffer.from(cn))))));
export const san = (...names: Buffer[]): Buffer => extension('2.5.29.17', seq(...names));
export const host = (...names: string[]): Buffer[] => [
  ext.notCa(),
  san(...(names.length > 0 ? names : ['example.com']).map(dns)),
];
export const only = (...names: Buffer[]): Buffer[] => [ext.notCa(), san(...names)];
export const limits = (
  permitted: readonly Buffer[],
  excluded: readonly Buffer[],
  critical = true,
): Buffer => {
  const trees = (n: number, names: readonly Buffer[]): Buffer[] =>
    names.length > 0 ? [tlv(0xa0 + n, ...names.map(name => seq(name)))] : [];
  return extension('2.5.29.30', seq(...trees(0, permitted), ...trees(1, excluded)), critical);
};
export const ca = (...more: Buffer[]): Shape => ({ extensions: [ext.ca(), ...more] });
export const to = (pathLength: number): Shape => ({ extensions: [ext.ca(pathLength)] });
export const permits = (...names: Buffer[]): Shape => ca(limits(names, []));
export const excludes = (...names: Buffer[]): Shape => ca(limits([], names));
export const odd = (critical: boolean): Buffer => extension('1.3.6.1.4.1.55738.666.1', tlv(5), critical);
export const aia = (critical: boolean): Buffer =>
  extension(
    '1.3.6.1.5.5.7.1.1',
    seq(seq(oid('1.3.6.1.5.5.7.48.2'), tlv(0x86, Buffer.from('http://example.com')))),
    critical,
  );
export const root = ca();
export const caOf = (...extensions: Buffer[]): Shape => ({ extensions });
export const SIGNS = ext.usage(0x04, 2);
export const one = Array.from({ length: 15 }, () => 0).concat(1);
export const mask = Array.from({ length: 16 }, () => 255);
export const named = (name: string, ...names: string[]): More => ({
  leaf: host(...names),
  name,
  end: 'server',
});
