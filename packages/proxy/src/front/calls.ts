// SPDX-License-Identifier: Apache-2.0
// What becomes of a call on the hypervisor socket: handed to the adaptor in bytes, or waiting for one, or written down.
// A call is of one caller's connection; sockets are accepted in hypervisor-front.ts.
import { hypervisorService } from '@peerpod-tls/agent-protocol/proxy';
import { abortable, Backoff, deadline, sleep } from '@peerpod-tls/base';
import { StatusCode, StatusError, type CallContext, type TtrpcClient } from '@peerpod-tls/ttrpc';
import type { Logger } from 'pino';
import { isSandboxId } from '../control/index.js';
import type { AdaptorConnection } from './adaptor-connection.js';
import type { AdaptorPresence } from './adaptor-presence.js';
import { diedOver, isGone, nobodyCame, nobodyThere, statusFor } from './answers.js';
import type { PendingStops } from './pending-stops.js';

const STOP = 'hypervisor.Hypervisor/StopVM';

/** Calls that may be made again by another adaptor, and how long they wait for one when their caller sets no time. */
const WAITING: Readonly<Record<string, number>> = {
  'hypervisor.Hypervisor/CreateVM': 30_000,
  'hypervisor.Hypervisor/StartVM': 300_000,
  'hypervisor.Hypervisor/Version': 30_000,
  'podvminfo.PodVMInfo/GetInfo': 30_000,
};

/** So long before a caller stops listening it is told in words, in milliseconds. */
const TELL_MS = 200;

export interface HypervisorCallsOptions {
  readonly presence: AdaptorPresence;
  readonly stops: PendingStops;
  /** A StopVM came. With `left`, its caller is answered and the adaptor will hear of it later. */
  readonly onStop: (sandbox: string, o: { readonly left: boolean }) => void;
  /** True while the proxy ends: then a StopVM is written down and answered. */
  readonly ending: () => boolean;
  readonly log: Logger;
}

export class HypervisorCalls {
  readonly #o: HypervisorCallsOptions;

  constructor(o: HypervisorCallsOptions) {
    this.#o = o;
  }

  async answer(payload: Uint8Array, context: CallContext, adaptor: AdaptorConnection): Promise<Uint8Array> {
    const call = `${context.service}/${context.method}`;
    const sandbox = call === STOP ? idOf(payload) : null;
    if (sandbox !== null) return this.#stop(sandbox, payload, context, adaptor);
    const waitMs = Object.hasOwn(WAITING, call) ? WAITING[call] : undefined;
    return waitMs === undefined
      ? this.#atOnce(payload, context, adaptor)
      : this.#waiting(payload, context, adaptor, waitMs);
  }

  async #atOnce(payload: Uint8Array, context: CallContext, adaptor: AdaptorConnection): Promise<Uint8Array> {
    const call = `${context.service}/${context.method}`;
    if (!this.#o.presence.there) throw nobodyThere(call);
    let client: TtrpcClient;
    try {
      client = await adaptor.client();
    } catch {
      throw nobodyThere(call);
    }
    try {
      return await handOn(client, payload, context);
    } catch (error) {
      throw isGone(error) ? diedOver(call) : statusFor(error);
    }
  }

  /** Goes out again to the next adaptor when one ended over it, which the calls it is used for allow. */
  async #waiting(
    payload: Uint8Array,
    context: CallContext,
    adaptor: AdaptorConnection,
    waitMs: number,
  ): Promise<Uint8Array> {
    const backoff = new Backoff({ firstMs: 10, longestMs: 500 });
    for (;;) {
      const client = await this.#reached(context, adaptor, waitMs);
      try {
        return await handOn(client, payload, context);
      } catch (error) {
        if (context.signal.aborted || !isGone(error)) throw statusFor(error);
        const { service, method } = context;
        this.#o.log.info({ service, method }, 'call goes out again to the next adaptor');
      }
      await sleep(backoff.next(), context.signal);
    }
  }

  async #reached(context: CallContext, adaptor: AdaptorConnection, waitMs: number): Promise<TtrpcClient> {
    const began = Date.now();
    const ms = context.deadline === null ? waitMs : Math.max(0, context.deadline - began - TELL_MS);
    const backoff = new Backoff({ firstMs: 10, longestMs: 500 });
    using until = deadline(ms, context.signal);
    try {
      for (;;) {
        await this.#o.presence.untilThere(until);
        try {
          return await abortable(adaptor.client(), until);
        } catch {
          await sleep(backoff.next(), until);
        }
      }
    } catch (error) {
      if (context.signal.aborted) throw error;
      throw nobodyCame(`${context.service}/${context.method}`, Date.now() - began);
    }
  }

  async #stop(
    sandbox: string,
    payload: Uint8Array,
    context: CallContext,
    adaptor: AdaptorConnection,
  ): Promise<Uint8Array> {
    const { presence, stops, onStop, ending } = this.#o;
    const written = await stops.take(sandbox);
    onStop(sandbox, { left: false });
    try {
      if (!presence.there || (written && ending())) return this.#left(sandbox, written);
      const client = await adaptor.client().catch(() => null);
      if (client === null) return this.#left(sandbox, written);
      const answer = await handOn(client, payload, context);
      stops.settled(sandbox);
      return answer;
    } catch (error) {
      // Nobody listens: what was written down is handed on by itself.
      if (context.signal.aborted) throw error;
      if (isGone(error)) return this.#left(sandbox, written);
      if (error instanceof StatusError) stops.settled(sandbox);
      throw statusFor(error);
    } finally {
      stops.release(sandbox);
    }
  }

  #left(sandbox: string, written: boolean): Uint8Array {
    if (!written)
      throw new StatusError(
        StatusCode.unavailable,
        `no cloud-api-adaptor is running on this node, and StopVM of sandbox ${sandbox} could not be written down for the next one (free some space, or start it)`,
      );
    this.#o.log.info({ sandbox }, 'StopVM taken for the next adaptor');
    this.#o.onStop(sandbox, { left: true });
    return hypervisorService.methods.StopVM.response.encode({}).finish();
  }
}

function handOn(client: TtrpcClient, payload: Uint8Array, context: CallContext): Promise<Uint8Array> {
  const { service, method, metadata, signal } = context;
  return client.call(service, method, payload, {
    signal,
    metadata: Object.fromEntries(metadata),
    ...(context.deadline === null ? {} : { timeoutMs: context.deadline - Date.now() }),
  });
}

/** The sandbox of a StopVM; null when it is none that could have been created, which is the adaptor's to refuse. */
function idOf(payload: Uint8Array): string | null {
  try {
    const { id } = hypervisorService.methods.StopVM.request.decode(payload);
    return isSandboxId(id) ? id : null;
  } catch {
    return null;
  }
}
