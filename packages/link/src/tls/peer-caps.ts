// SPDX-License-Identifier: Apache-2.0
// How many verified links may be open, in all and from one address. No sockets here.

export interface Full {
  readonly rule: 'too-many-peers' | 'too-many-from-address';
  readonly text: string;
}

export class PeerCaps {
  readonly #max: number;
  readonly #maxPerAddress: number;
  readonly #byAddress = new Map<string, number>();
  #count = 0;

  constructor(max: number, maxPerAddress: number) {
    this.#max = max;
    this.#maxPerAddress = maxPerAddress;
  }

  get count(): number {
    return this.#count;
  }

  /** Why there is no room for one more from this address; null when there is. */
  refusal(address: string): Full | null {
    if (this.#count >= this.#max)
      return { rule: 'too-many-peers', text: `${this.#max} links are open already` };
    if ((this.#byAddress.get(address) ?? 0) >= this.#maxPerAddress)
      return {
        rule: 'too-many-from-address',
        text: `${this.#maxPerAddress} links are open from its address already`,
      };
    return null;
  }

  add(address: string): void {
    this.#count++;
    this.#byAddress.set(address, (this.#byAddress.get(address) ?? 0) + 1);
  }

  remove(address: string): void {
    this.#count--;
    const left = (this.#byAddress.get(address) ?? 1) - 1;
    if (left > 0) this.#byAddress.set(address, left);
    else this.#byAddress.delete(address);
  }
}
