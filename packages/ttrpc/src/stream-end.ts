// SPDX-License-Identifier: Apache-2.0
// What a client and one of its streams know of each other. Types only.

/** What waits for frames of one stream. */
export interface StreamEnd {
  onResponse(payload: Buffer): void;
  onData(payload: Buffer, flags: number): void;
  /** The stream is over, whatever it was waiting for. */
  onError(error: Error): void;
}

/** A request on its way: its id is given when it is written, so that ids rise in the order of the wire. */
export interface Submission {
  /** Null until the request has been written. */
  readonly id: number | null;
  /** Takes the stream off the table; what still arrives for it is ignored. */
  forget(): void;
}
