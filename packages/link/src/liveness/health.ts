// SPDX-License-Identifier: Apache-2.0
// Whether an agent answers at the end of a link: one grpc.Health/Check. The link is spent by it, since stream ids on a
// connection only rise and the shim will begin at 1.
import type { Duplex } from 'node:stream';
import { codeOf, messageOf } from '@peerpod-tls/base';
import { healthServiceName } from '@peerpod-tls/agent-protocol/wire';
import { LinkError } from '../errors.js';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import { closedWithoutAnswer } from '../tls/node-error.js';

export interface HealthOptions {
  /** How long the answer may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** How our own certificate is called, in case it is refused. */
  readonly ownCertificate?: string;
}

/** HealthCheckResponse `status` (field 1): the one value that is good news, and the tag it has on the wire. */
const SERVING = 1;
const STATUS_TAG = 0x08;

/**
 * Resolves once the agent said that it serves. The link is closed in any case.
 * @throws LinkError ERR_LINK_TTRPC_SILENT, ERR_LINK_AGENT_DOWN, ERR_LINK_TLS_REFUSED, ERR_LINK_PEER_SPEAKS_TLS or ERR_LINK_CLOSED
 */
export async function checkHealth(end: VerifiedPeer | Duplex, o: HealthOptions): Promise<void> {
  const verifiedPeer = 'peer' in end ? end : null;
  // Loaded when first needed: a forwarder never checks, and starts faster without the client's protobuf runtime.
  const { TtrpcClient } = await import('@peerpod-tls/ttrpc');
  const client = new TtrpcClient('peer' in end ? end.socket : end);
  const where = verifiedPeer?.peer.remote ?? 'the agent';
  try {
    const answer = await client.call(healthServiceName, 'Check', new Uint8Array(0), {
      timeoutMs: o.timeoutMs,
      signal: o.signal,
    });
    if (answer[0] !== STATUS_TAG || answer[1] !== SERVING)
      throw new LinkError('ERR_LINK_AGENT_DOWN', `the agent behind ${where} answers that it does not serve`);
  } catch (error) {
    throw translated(error, verifiedPeer, where, o);
  } finally {
    client.close();
    verifiedPeer?.close();
  }
}

function translated(
  error: unknown,
  verifiedPeer: VerifiedPeer | null,
  where: string,
  o: HealthOptions,
): LinkError {
  if (error instanceof LinkError) return error;
  const code = codeOf(error);
  // A deadline of the caller's that ends the wait has met the same silence as one of ours.
  if (o.signal.aborted && o.signal.reason instanceof Error && o.signal.reason.name === 'TimeoutError')
    return silent(where, 'in time', error);
  if (o.signal.aborted)
    return new LinkError('ERR_LINK_CLOSED', `the check of ${where} was given up`, { cause: error });
  if (code === 'ERR_TTRPC_PEER_SPEAKS_TLS')
    return new LinkError('ERR_LINK_PEER_SPEAKS_TLS', `${where} speaks TLS and this side does not`, {
      hint: 'is -disable-tls set on one side only?',
      cause: error,
    });
  if (code === 'ERR_TTRPC_STATUS') {
    const status = error instanceof Error && 'status' in error ? Number(error.status) : 0;
    if (status === 4) return silent(where, `within ${o.timeoutMs} ms`, error);
    return new LinkError('ERR_LINK_AGENT_DOWN', `the agent behind ${where} is down: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const failure = verifiedPeer?.failure() ?? null;
  if (failure !== null && failure.code !== 'ERR_LINK_CLOSED') return failure;
  if (verifiedPeer !== null && verifiedPeer.peer.tls !== null)
    return closedWithoutAnswer(where, o.ownCertificate, failure ?? error);
  return new LinkError('ERR_LINK_CLOSED', `${where} closed the link without an answer`, {
    hint: 'a listener that wants TLS does this; is -disable-tls set on one side only?',
    cause: failure ?? error,
  });
}

function silent(where: string, time: string, cause: unknown): LinkError {
  return new LinkError(
    'ERR_LINK_TTRPC_SILENT',
    `the link to ${where} stands, and nobody answered a call ${time}`,
    {
      hint: 'does the agent run, and does the forwarder reach its socket?',
      cause,
    },
  );
}
