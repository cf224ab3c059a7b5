// SPDX-License-Identifier: Apache-2.0
// What is said of a refused certificate, to the people at both ends. Nothing is decided here.
import type { X509Certificate } from 'node:crypto';
import { fingerprintOf, isoTime, issuerOf, subjectOf } from '../describe.js';
import { datesToShow } from './facts.js';

/** The rule that was broken. */
export const REFUSAL_RULES = [
  'no-certificate',
  'unreadable',
  'unknown-issuer',
  'bad-signature',
  'key-identifier',
  'too-many-candidates',
  'expired',
  'not-yet-valid',
  'wrong-purpose',
  'is-ca',
  'wrong-name',
  'name-constraint',
  'weak',
  'issuer-not-allowed',
  'unknown-critical-extension',
  'refused-by-openssl',
] as const;

export type RefusalRule = (typeof REFUSAL_RULES)[number];

/** Everything the two people at the ends of a refused link need, safe to log. Times are ISO 8601, UTC. */
export interface Refusal {
  readonly rule: RefusalRule;
  /** One sentence. */
  readonly text: string;
  readonly subject?: string;
  readonly issuer?: string;
  /** SHA-256 of the refused leaf. */
  readonly fingerprint?: string;
  readonly notBefore?: string;
  readonly notAfter?: string;
  /** The anchors, each as `subject sha256 fingerprint`; at most 20. */
  readonly expected: readonly string[];
  /** What the clock of the side that refused said. */
  readonly now: string;
}

const MAX_SHOWN = 20;

export function makeRefusal(
  { rule, text }: { readonly rule: RefusalRule; readonly text: string },
  leaf: X509Certificate | null,
  anchors: readonly X509Certificate[],
  now: Date,
): Refusal {
  return {
    rule,
    text,
    ...(leaf ? leafFacts(leaf) : {}),
    expected: anchors
      .slice(0, MAX_SHOWN)
      .map(anchor => `${subjectOf(anchor)} sha256 ${fingerprintOf(anchor)}`),
    now: now.toISOString(),
  };
}

function leafFacts(leaf: X509Certificate): Omit<Refusal, 'rule' | 'text' | 'expected' | 'now'> {
  const dates = datesToShow(leaf);
  return {
    subject: subjectOf(leaf),
    issuer: issuerOf(leaf),
    fingerprint: fingerprintOf(leaf),
    notBefore: isoTime(dates?.notBefore),
    notAfter: isoTime(dates?.notAfter),
  };
}
