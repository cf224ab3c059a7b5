// SPDX-License-Identifier: Apache-2.0
// What proxies are told to dial with: the identity's security under the name that sandboxes know it by.
import { materialMessage } from '@peerpod-tls/proxy/control';
import type { Identity } from '@peerpod-tls/trust';

export class MaterialInForce {
  readonly #identity: Pick<Identity, 'mode' | 'security'>;
  /** When each material was first seen in force: what passed its check then passes it again later. */
  readonly #seen = new WeakMap<object, number>();

  constructor(identity: Pick<Identity, 'mode' | 'security'>) {
    this.#identity = identity;
  }

  /** Holds the private key. */
  message(): ReturnType<typeof materialMessage> {
    const { mode: name, security } = this.#identity;
    return materialMessage({ name, security }, security.t === 'tls' ? this.#seenAt(security.material()) : 0);
  }

  #seenAt(material: object): number {
    const seenAt = this.#seen.get(material) ?? Date.now();
    this.#seen.set(material, seenAt);
    return seenAt;
  }
}
