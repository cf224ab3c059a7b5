// SPDX-License-Identifier: Apache-2.0
// How many verified links may be open, in all and from one address, and which of them has to make room for a new one of
// the same client. No sockets here.

export interface Full {
  readonly rule: 'too-many-peers' | 'too-many-from-address';
  readonly text: string;
}

/** An open link as far as it counts. */
export interface CountedPeer {
  readonly address: string;
  /** Tells clients apart: their certificate, or their address where they have none. */
  readonly client: string;
  /** Ends the link. */
  readonly end: () => void;
}

export interface PeerCapOptions {
  readonly max: number;
  readonly maxPerAddress: number;
  /** How long nobody may have read from a link before it has to make room, in milliseconds. */
  readonly heldMs: number;
  /** Monotonic milliseconds. Default `performance.now`. */
  readonly now?: () => number;
}

export class PeerCaps {
  readonly #o: PeerCapOptions;
  readonly #now: () => number;
  readonly #open = new Set<CountedPeer>();
  readonly #byAddress = new Map<string, number>();
  /** Links that nobody reads from, oldest first, with the time since when. */
  readonly #held = new Map<CountedPeer, number>();

  constructor(options: PeerCapOptions) {
    this.#o = options;
    this.#now = options.now ?? (() => performance.now());
  }

  get count(): number {
    return this.#open.size;
  }

  /** Why one more from this address is too many; null when it is not. */
  refusal(address: string): Full | null {
    const { max, maxPerAddress } = this.#o;
    if (this.#open.size >= max) return { rule: 'too-many-peers', text: `${max} links are open already` };
    if ((this.#byAddress.get(address) ?? 0) >= maxPerAddress)
      return {
        rule: 'too-many-from-address',
        text: `${maxPerAddress} links are open from its address already`,
      };
    return null;
  }

  add(peer: CountedPeer): void {
    this.#open.add(peer);
    this.#byAddress.set(peer.address, (this.#byAddress.get(peer.address) ?? 0) + 1);
    this.#held.set(peer, this.#now());
  }

  remove(peer: CountedPeer): void {
    if (!this.#open.delete(peer)) return;
    this.#held.delete(peer);
    const left = (this.#byAddress.get(peer.address) ?? 1) - 1;
    if (left > 0) this.#byAddress.set(peer.address, left);
    else this.#byAddress.delete(peer.address);
  }

  /** Nobody reads from it for the time being. */
  hold(peer: CountedPeer): void {
    if (this.#open.has(peer) && !this.#held.has(peer)) this.#held.set(peer, this.#now());
  }

  release(peer: CountedPeer): void {
    this.#held.delete(peer);
  }

  /** Whether a link from this address could make room for one of the same client. */
  couldMakeRoom(address: string): boolean {
    return this.#oldestHeld(peer => peer.address === address) !== null;
  }

  /** Ends the link of this client that has been held for longest; false when it has none that was held long enough. */
  makeRoom(client: string, address: string): boolean {
    // One that came from elsewhere makes room in all, and none at this address.
    const fitting = this.#open.size >= this.#o.max ? null : address;
    const oldest = this.#oldestHeld(
      peer => peer.client === client && (fitting === null || peer.address === fitting),
    );
    if (oldest === null) return false;
    this.remove(oldest);
    oldest.end();
    return true;
  }

  #oldestHeld(fits: (peer: CountedPeer) => boolean): CountedPeer | null {
    const latest = this.#now() - this.#o.heldMs;
    for (const [peer, since] of this.#held) {
      if (since > latest) return null;
      if (fits(peer)) return peer;
    }
    return null;
  }
}
