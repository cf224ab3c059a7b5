// SPDX-License-Identifier: Apache-2.0
// Frames that mean nothing to a relay and are dropped: few are a mishap, many are a peer that has lost its way, or means
// harm. Nothing is read here.
import { SKIP, STOP } from './scanner.js';
import type { RelayObserver } from './types.js';

/** Frames without a meaning on one connection, and their bytes, before it is ended. */
export const STRAY_FRAMES = 1_000;
export const STRAY_BYTES = 64 * 1024 * 1024;

export class Strays {
  readonly #observer: RelayObserver;
  readonly #breakOff: (reason: string) => void;
  #frames = 0;
  #bytes = 0;

  constructor(observer: RelayObserver, breakOff: (reason: string) => void) {
    this.#observer = observer;
    this.#breakOff = breakOff;
  }

  /** Counts one. Returns what the scanner is to be told. `reason` is one of a small closed set of texts. */
  add(reason: string, bytes: number): number {
    this.#observer.protocolError?.(reason);
    this.#frames += 1;
    this.#bytes += bytes;
    if (this.#frames <= STRAY_FRAMES && this.#bytes <= STRAY_BYTES) return SKIP;
    this.#breakOff(`too much that nobody asked for, at last: ${reason}`);
    return STOP;
  }
}
