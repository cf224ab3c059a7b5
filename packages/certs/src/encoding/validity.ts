// SPDX-License-Identifier: Apache-2.0
// The one gate where a certificate's dates are read. JavaScript's own reading turns a date it cannot hold into NaN,
// which is neither before nor after anything; here it is an error that says which field and which bytes.
import { messageOf } from '@peerpod-tls/base';
import {
  childrenOf,
  contentOf,
  decodeDer,
  encodeDer,
  isContext,
  isUniversal,
  Tag,
  type DerNode,
} from './der.js';

/** The times between which a certificate holds. Both are real dates. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** The forms of RFC 5280 section 4.1.2.5, with seconds and in UTC: OpenSSL and Go accept no others. */
const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
/** Enough to recognise a date by, whatever stands there. */
const MAX_SHOWN = 24;

/** Throws a plain Error that names the field and the bytes when one of the two is no date. */
export const readValidity = (notBefore: DerNode | undefined, notAfter: DerNode | undefined): Validity => ({
  notBefore: readTime(notBefore, 'notBefore'),
  notAfter: readTime(notAfter, 'notAfter'),
});

/** Which date of a certificate that Node does not take is none, in words that go behind its place; null for other trouble. */
export function dateTrouble(der: Uint8Array): string | null {
  let dates: readonly DerNode[];
  try {
    const [tbs] = childrenOf(decodeDer(der), Tag.sequence, { min: 3, max: 3 });
    const fields = childrenOf(tbs, Tag.sequence, { min: 6, max: 10 });
    dates = childrenOf(fields[isContext(fields[0], 0) ? 4 : 3], Tag.sequence, { min: 2, max: 2 });
  } catch {
    return null;
  }
  try {
    readValidity(dates[0], dates[1]);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

function readTime(node: DerNode | undefined, field: string): Date {
  const tag = isUniversal(node, Tag.utcTime) ? Tag.utcTime : Tag.generalizedTime;
  let bytes: Buffer;
  try {
    bytes = contentOf(node, tag);
  } catch {
    throw new Error(`its ${field} is neither UTCTime nor GeneralizedTime${showOther(node)}`);
  }
  const parts = (tag === Tag.utcTime ? UTC_TIME : GENERALIZED_TIME)
    .exec(bytes.toString('latin1'))
    ?.slice(1)
    .map(Number);
  if (parts !== undefined) {
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
    const at = new Date(0);
    // Two digits from 50 on are the last century's.
    at.setUTCFullYear(tag === Tag.utcTime ? year + (year < 50 ? 2000 : 1900) : year, month - 1, day);
    at.setUTCHours(hour, minute, second);
    // A field out of its range would have moved another one.
    if (
      at.getUTCMonth() === month - 1 &&
      at.getUTCDate() === day &&
      at.getUTCHours() === hour &&
      at.getUTCMinutes() === minute &&
      at.getUTCSeconds() === second
    ) {
      return at;
    }
  }
  throw new Error(`its ${field} is no date that can be read: ${show(tag, bytes)}`);
}

function showOther(node: DerNode | undefined): string {
  if (node === undefined) return '';
  const bytes = encodeDer(node);
  const shown = bytes
    .subarray(0, MAX_SHOWN)
    .toString('hex')
    .replace(/..(?!$)/g, '$& ');
  return ` (bytes ${shown}${bytes.length > MAX_SHOWN ? ' …' : ''})`;
}

/** `"300101000060Z" (bytes 17 0d 33 30 …)` */
function show(tag: number, bytes: Buffer): string {
  const shown = bytes.subarray(0, MAX_SHOWN);
  const hex = Buffer.concat([Buffer.of(tag, Math.min(bytes.length, 0x7f)), shown])
    .toString('hex')
    .replace(/..(?!$)/g, '$& ');
  const more = bytes.length > MAX_SHOWN ? ' …' : '';
  return `${JSON.stringify(shown.toString('latin1').replace(/[^\x20-\x7e]/g, '?'))} (bytes ${hex}${more})`;
}
