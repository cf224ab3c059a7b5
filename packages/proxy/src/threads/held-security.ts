// SPDX-License-Identifier: Apache-2.0
// What links are secured by, from the thread that holds it to those that dial. A thread asks before each dial and is
// told the version in force; certificates and key travel once per version, in a message and nowhere else.
import type { TlsMaterial, TlsProfile } from '@peerpod-tls/certs';
import type { LinkSecurity } from '@peerpod-tls/link';
import { checkedMaterial, plainMaterial, type PlainMaterial } from '../plain-material.js';

export type HeldSecurity =
  | { readonly t: 'none' }
  | { readonly t: 'plain' }
  | {
      readonly t: 'tls';
      readonly version: number;
      readonly profile: TlsProfile;
      /** Null: the thread holds this version. */
      readonly material: PlainMaterial | null;
    };

/** The driving thread's side: numbers each material it meets. */
export class SecurityVersions {
  readonly #seen = new WeakMap<TlsMaterial, { readonly version: number; readonly seenAt: number }>();
  #latest = 0;

  /** @param known version of the material that the asking thread holds; 0 for none */
  answer(security: LinkSecurity | null, known: number): HeldSecurity {
    if (security === null) return { t: 'none' };
    if (security.t === 'plain') return { t: 'plain' };
    const material = security.material();
    let seen = this.#seen.get(material);
    if (seen === undefined) {
      this.#latest += 1;
      seen = { version: this.#latest, seenAt: Date.now() };
      this.#seen.set(material, seen);
    }
    const { version, seenAt } = seen;
    return {
      t: 'tls',
      version,
      profile: security.profile,
      material: version === known ? null : plainMaterial(material, seenAt),
    };
  }
}

/** A dialling thread's side: what it was told last of one material. */
export class SecurityHolder {
  #version = 0;
  #material: TlsMaterial | null = null;

  get version(): number {
    return this.#version;
  }

  /** What to dial with; a link that is dialled for long meets whatever was told meanwhile. */
  take(told: HeldSecurity): LinkSecurity | null {
    if (told.t === 'none') return null;
    if (told.t === 'plain') return { t: 'plain' };
    // Answers of two questions may cross: an older one changes nothing.
    if (told.material !== null && told.version > this.#version) {
      this.#material = checkedMaterial(told.material);
      this.#version = told.version;
    }
    return { t: 'tls', material: () => this.#held(), profile: told.profile };
  }

  #held(): TlsMaterial {
    if (this.#material === null) throw new Error('internal error: this thread was told of no material');
    return this.#material;
  }
}
