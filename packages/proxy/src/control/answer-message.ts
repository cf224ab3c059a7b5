// SPDX-License-Identifier: Apache-2.0
// What a proxy answers about agents, sandboxes and threads, as messages and back.
import { peerpod } from '@peerpod-tls/agent-protocol/proxy';
import type { AgentAnswer, ProxyView, ThreadView } from '../spec.js';

const { v1 } = peerpod.proxy;
type AgentMessage = peerpod.proxy.v1.AgentAnswer;
type SandboxMessage = peerpod.proxy.v1.SandboxView;
type ThreadMessage = peerpod.proxy.v1.ThreadView;

/** A sandbox of a proxy, with its pod for who reads a list of them. */
export interface SandboxView extends ProxyView {
  /** `namespace/name`. */
  readonly pod: string;
}

export function agentMessage(agent: AgentAnswer): AgentMessage {
  return new v1.AgentAnswer({ ...agent, names: [...agent.names] });
}

export function agentOf(message: peerpod.proxy.v1.AgentAnswer.$Properties): AgentAnswer {
  return {
    attempts: message.attempts ?? 0,
    ms: message.ms ?? 0,
    lastTryMs: message.lastTryMs ?? 0,
    remote: message.remote ?? '',
    protocol: message.protocol ?? '',
    cipher: message.cipher ?? '',
    subject: message.subject ?? '',
    names: message.names ?? [],
    fingerprint: message.fingerprint ?? '',
    handshakeMs: message.handshakeMs ?? 0,
  };
}

export function sandboxViewMessage(view: SandboxView): SandboxMessage {
  return new v1.SandboxView({ ...view, lastClosedAt: view.lastClosedAt ?? '' });
}

export function sandboxViewOf(message: peerpod.proxy.v1.SandboxView.$Properties): SandboxView {
  const lastClosedAt = message.lastClosedAt ?? '';
  return {
    sandbox: message.sandbox ?? '',
    pod: message.pod ?? '',
    thread: message.thread ?? 0,
    connections: message.connections ?? 0,
    openedAt: message.openedAt ?? '',
    lastClosedAt: lastClosedAt === '' ? null : lastClosedAt,
  };
}

export function threadViewMessage(view: ThreadView): ThreadMessage {
  return new v1.ThreadView({ ...view });
}

export function threadViewOf(message: peerpod.proxy.v1.ThreadView.$Properties): ThreadView {
  return {
    thread: message.thread ?? 0,
    sandboxes: message.sandboxes ?? 0,
    connections: message.connections ?? 0,
    busySeconds: message.busySeconds ?? 0,
  };
}
