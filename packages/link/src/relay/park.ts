// SPDX-License-Identifier: Apache-2.0
// What the downstream sent while there was no upstream. Nothing is read or decided here.

/** Bytes parked before the downstream is not read any more; a downstream that hangs up is still noticed below it. */
const PARKED_BYTES = 256 * 1024;

export class Park {
  #chunks: Buffer[] = [];
  #bytes = 0;

  get full(): boolean {
    return this.#bytes > PARKED_BYTES;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** Everything parked, in order; the park is empty afterwards. */
  empty(): Buffer[] {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    return chunks;
  }
}
