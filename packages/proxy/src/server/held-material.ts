// SPDX-License-Identifier: Apache-2.0
// What links are dialled with at this moment. One at a time: a sandbox that was made in another TLS mode is dialled with
// nothing.
import type { peerpod } from '@peerpod-tls/agent-protocol/proxy';
import type { LinkSecurity } from '@peerpod-tls/link';
import { securityOf, type NamedSecurity } from '../control/index.js';

export class HeldMaterial {
  #held: NamedSecurity | null;

  constructor(held: NamedSecurity | null) {
    this.#held = held;
  }

  /** What a spec's material stands for; null when it is not the one in force. */
  security(name: string): LinkSecurity | null {
    return this.#held?.name === name ? this.#held.security : null;
  }

  /**
   * Puts it in force, unless it is: an adaptor that starts again tells what it told before.
   * @returns whether anything changed
   * @throws ControlError, CertError when it is none to dial with; the one before stays
   */
  take(message: peerpod.proxy.v1.Material.$Properties | null | undefined): boolean {
    const given = securityOf(message);
    if (this.#held !== null && same(this.#held, given)) return false;
    this.#held = given;
    return true;
  }
}

function same(a: NamedSecurity, b: NamedSecurity): boolean {
  if (a.name !== b.name || a.security.t !== b.security.t) return false;
  if (a.security.t === 'plain' || b.security.t === 'plain') return true;
  const [one, other] = [a.security.material(), b.security.material()];
  return (
    one.chainPem === other.chainPem &&
    one.keyPem === other.keyPem &&
    one.anchorsPem.join('') === other.anchorsPem.join('') &&
    a.security.profile.minVersion === b.security.profile.minVersion &&
    a.security.profile.ciphers === b.security.profile.ciphers
  );
}
