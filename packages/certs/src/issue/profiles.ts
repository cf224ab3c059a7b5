// SPDX-License-Identifier: Apache-2.0
// What each kind of certificate says about itself, as data: subject, lifetime, usages. Nothing is encoded here.
import type { SubjectName } from '../encoding/names.js';
import type { TlsRole } from '../role.js';

/** Clocks of freshly booted VMs lag; a certificate is valid from this many milliseconds before it was made. */
export const BACKDATE_MS = 5 * 60 * 1000;

/** Longer lifetimes, in days, are typing errors. 100 years. */
export const MAX_LIFETIME_DAYS = 36_500;

export const DAY_MS = 24 * 60 * 60 * 1000;

interface Profile {
  readonly subject: SubjectName;
  readonly lifetimeDays: number;
}

export const caProfile: Profile = {
  // The subject peers of the upstream project know their CA by.
  subject: { O: 'agent-protocol-forwarder' },
  // Five years. A leaf ends with its issuer at the latest, so the CA outlives a leaf's two years by three: leaves
  // issued in that time get all of theirs.
  lifetimeDays: 1825,
};

export const leafProfiles: Readonly<Record<TlsRole, Profile & { readonly needsName: boolean }>> = {
  server: {
    subject: { O: 'agent-protocol-forwarder' },
    // Two years, upstream's figure. A link ends when its certificate does, and a pod VM has no way yet to be given a
    // second one, so this is the longest a pod can live.
    lifetimeDays: 730,
    // The dialler verifies the name, and nobody reads common names any more.
    needsName: true,
  },
  client: {
    subject: { O: 'cloud-api-adaptor' },
    lifetimeDays: 730,
    needsName: false,
  },
};

export const selfSignedClientProfile: Profile = {
  subject: { O: 'cloud-api-adaptor' },
  // It is its own anchor in every VM it was given to, so it lives as long as the CA beside it.
  lifetimeDays: 1825,
};
