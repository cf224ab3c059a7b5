// SPDX-License-Identifier: Apache-2.0
// Blocking calls outlive the link they came by when the upstream is shared: nothing tells an agent that nobody waits any
// more. The same client asks the same again on its next link, so an equal call takes over the one that is on its way, or
// the answer that came in between. Otherwise waits would pile up in the agent, and a piece of output that was read for a
// lost link would be gone. No streams here.
import { HEADER_LENGTH, readRequestPayload } from '@peerpod-tls/ttrpc/relay';
import type { Call, Downstream } from './downstream.js';
import type { MethodPlan } from './method-plans.js';
import { processOf } from './process-of.js';

/** Answers that nobody has fetched yet: all together in bytes, and for how long in milliseconds. A redial takes seconds. */
const UNFETCHED_BYTES = 4 * 1024 * 1024;
const UNFETCHED_MS = 120_000;
/** What one costs besides its bytes, so that many small ones are bounded too. */
const UNFETCHED_EACH = 1024;

/** Larger requests are none that wait or read. */
export const LARGEST_KEYED = 4096;

interface Unfetched {
  readonly process: string;
  readonly frame: Buffer;
  readonly at: number;
}

/** What becomes of a new call. */
export type Adopted =
  /** The answer is here: the frame, with another stream's id in it. */
  | { readonly t: 'answer'; readonly frame: Buffer }
  /** A call on its way belongs to the new caller from now on. */
  | { readonly t: 'adopted' }
  /** As `adopted`, but who had it before still waits: the request is to be sent for that one. */
  | {
      readonly t: 'swapped';
      readonly owner: Downstream;
      readonly downstreamId: number;
      readonly since: number;
    }
  | { readonly t: 'new' };

const asNew: Adopted = { t: 'new' };

export class Adoption {
  /** Calls on their way, oldest first, by key. */
  readonly #open = new Map<string, Call[]>();
  /** Oldest first within a key; keys in the order of their oldest. */
  readonly #unfetched = new Map<string, Unfetched[]>();
  #unfetchedBytes = 0;

  /** By what equal calls of one client are known; null when this one must not be taken over. */
  keyOf(client: string, plan: MethodPlan, envelope: Buffer): string | null {
    if (!plan.traits.blocks || !plan.traits.replay || envelope.length > LARGEST_KEYED) return null;
    try {
      const payload = readRequestPayload(envelope);
      const message = Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('latin1');
      return JSON.stringify([client, plan.service, plan.method, message]);
    } catch {
      return null;
    }
  }

  /** Looks for a call, or an answer, that the new one can have. Ownership moves at once. */
  adopt(key: string, owner: Downstream, downstreamId: number, now: number): Adopted {
    const frame = this.#fetch(key, now);
    if (frame !== null) return { t: 'answer', frame };
    const calls = this.#open.get(key);
    const first = calls?.[0];
    if (calls === undefined || first === undefined) return asNew;
    if (first.owner === null) {
      give(first, owner, downstreamId, now);
      return { t: 'adopted' };
    }
    const orphan = calls.find(call => call.owner === null);
    if (first.owner === owner) {
      // It asks twice at a time, and means it.
      if (orphan === undefined) return asNew;
      give(orphan, owner, downstreamId, now);
      return { t: 'adopted' };
    }
    // The other link may be dead without anybody having noticed: whoever asked last has the next answer.
    const before = { owner: first.owner, downstreamId: first.downstreamId, since: first.since };
    give(first, owner, downstreamId, now);
    if (orphan === undefined) return { t: 'swapped', ...before };
    give(orphan, before.owner, before.downstreamId, before.since);
    return { t: 'adopted' };
  }

  /** A call with a key was sent. */
  sent(call: Call): void {
    if (call.key === null) return;
    const calls = this.#open.get(call.key);
    if (calls === undefined) this.#open.set(call.key, [call]);
    else calls.push(call);
  }

  /** It was answered. */
  over(call: Call): void {
    if (call.key === null) return;
    const calls = this.#open.get(call.key);
    const at = calls?.indexOf(call) ?? -1;
    if (calls === undefined || at < 0) return;
    if (calls.length === 1) this.#open.delete(call.key);
    else calls.splice(at, 1);
  }

  /** The answer of a call without an owner is coming: gives the call to somebody who waits for an equal one. */
  findOwner(orphan: Call): boolean {
    if (orphan.key === null) return false;
    const waiting = this.#open.get(orphan.key)?.find(call => call.owner !== null);
    if (waiting === undefined || waiting.owner === null) return false;
    orphan.owner = waiting.owner;
    orphan.downstreamId = waiting.downstreamId;
    orphan.since = waiting.since;
    waiting.owner = null;
    return true;
  }

  /** Keeps the answer of a call without an owner for the next equal one. */
  keep(call: Call, frame: Buffer, now: number): void {
    if (call.key === null) return;
    const list = this.#unfetched.get(call.key) ?? [];
    list.push({ process: processOf(messageIn(call.key)), frame, at: now });
    this.#unfetched.set(call.key, list);
    this.#unfetchedBytes += frame.length + UNFETCHED_EACH;
    for (const key of this.#unfetched.keys()) {
      if (this.#unfetchedBytes <= UNFETCHED_BYTES) break;
      while (this.#unfetchedBytes > UNFETCHED_BYTES && this.#drop(key) !== null);
    }
  }

  /** Whether no answer is kept. */
  get isEmpty(): boolean {
    return this.#unfetched.size === 0;
  }

  /** A process of this name begins: answers about an earlier one of the same name are stale. */
  begins(process: string): void {
    for (const [key, list] of this.#unfetched)
      for (let left = list.length; left > 0 && list[0]?.process === process; left--) this.#drop(key);
  }

  #fetch(key: string, now: number): Buffer | null {
    for (;;) {
      const oldest = this.#drop(key);
      if (oldest === null || now - oldest.at <= UNFETCHED_MS) return oldest?.frame ?? null;
    }
  }

  #drop(key: string): Unfetched | null {
    const list = this.#unfetched.get(key);
    const oldest = list?.shift();
    if (list === undefined || oldest === undefined) return null;
    if (list.length === 0) this.#unfetched.delete(key);
    this.#unfetchedBytes -= oldest.frame.length + UNFETCHED_EACH;
    return oldest;
  }
}

function give(call: Call, owner: Downstream, downstreamId: number, since: number): void {
  call.owner = owner;
  call.downstreamId = downstreamId;
  call.since = since;
}

function messageIn(key: string): Buffer {
  const parts: unknown = JSON.parse(key);
  const message: unknown = Array.isArray(parts) ? parts[3] : '';
  return Buffer.from(typeof message === 'string' ? message : '', 'latin1');
}

/** A kept answer under the id its new caller knows. */
export function answerFor(frame: Buffer, downstreamId: number): Buffer {
  const own = Buffer.from(frame);
  if (own.length >= HEADER_LENGTH) own.writeUInt32BE(downstreamId, 4);
  return own;
}
