// SPDX-License-Identifier: Apache-2.0
// Somebody who reaches the pod VM's port and has no certificate: makes a call, and tells how far it got.
import { connect } from 'node:net';
import { healthService } from '@peerpod-tls/agent-protocol';
import { TtrpcClient, clientOf } from '@peerpod-tls/ttrpc';

const PATIENCE_MS = 5_000;

/**
 * Calls Check at `host:port` without TLS. Resolves with the local port the call came from, and whether the agent
 * answered it, which would mean that anybody can drive the pod.
 */
export async function knock(
  address: string,
  signal: AbortSignal,
): Promise<{ port: number; answered: boolean }> {
  const colon = address.lastIndexOf(':');
  const socket = connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)) });
  let port = 0;
  socket.once('connect', () => {
    port = socket.localPort ?? 0;
  });
  const client = new TtrpcClient(socket);
  try {
    await clientOf(healthService, client).Check({}, { timeoutMs: PATIENCE_MS, signal });
    return { port, answered: true };
  } catch {
    return { port, answered: false };
  } finally {
    client.close();
    socket.destroy();
  }
}
