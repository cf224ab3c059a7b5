// SPDX-License-Identifier: Apache-2.0
// What happened in a proxy, as messages and back. A kind that this release does not know is passed over.
import { peerpod } from '@peerpod-tls/agent-protocol/proxy';
import { LOSS_CAUSES, type LossCause } from '@peerpod-tls/link/loss';
import type { ProxyEvent } from '../spec.js';

type EventMessage = peerpod.proxy.v1.Event;
type EventFields = peerpod.proxy.v1.Event.$Properties;

/** One entry of what a proxy watches. */
export interface WatchedEvent {
  /** Counted by one process of a proxy, from 1. */
  readonly number: number;
  /** Empty for what is no single sandbox's. */
  readonly sandbox: string;
  readonly event: ProxyEvent;
}

export function eventMessage({ number, sandbox, event }: WatchedEvent): EventMessage {
  const { t: kind, ...fields } = event;
  return new peerpod.proxy.v1.Event({ ...fields, number, kind, sandbox });
}

/** Null for a kind of a newer release. */
export function watchedEventOf(message: EventFields): WatchedEvent | null {
  const event = eventOf(message);
  return event === null ? null : { number: message.number ?? 0, sandbox: message.sandbox ?? '', event };
}

function eventOf(message: EventFields): ProxyEvent | null {
  const { kind: t } = message;
  const ms = message.ms ?? 0;
  const cause = causeOf(message.cause);
  switch (t) {
    case 'handshake':
      return { t, ms };
    case 'refused':
      return { t, rule: message.rule ?? '' };
    case 'lost':
    case 'not-redialled':
      return { t, cause };
    case 'resumed':
      return { t, cause, ms };
    case 'redialled':
      return { t, ms, replayed: message.replayed ?? 0, unavailable: message.unavailable ?? 0 };
    case 'protocol-error':
    case 'connected':
    case 'disconnected':
      return { t };
    case 'thread-lost':
      return { t, thread: message.thread ?? 0, sandboxes: message.sandboxes ?? 0 };
    default:
      return null;
  }
}

function causeOf(word: string | null | undefined): LossCause {
  return LOSS_CAUSES.find(cause => cause === word) ?? 'other';
}
