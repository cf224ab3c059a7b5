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

  /** Keeps a copy of the first `length` bytes. */
  add(bytes: Buffer, length: number): void {
    this.#chunks.push(Buffer.from(bytes.subarray(0, length)));
    this.#bytes += length;
  }

  /** Everything parked, in order; the park is empty afterwards. */
  empty(): Buffer[] {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    return chunks;
  }
}
