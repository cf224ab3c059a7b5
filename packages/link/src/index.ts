// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/link.
export { dialLink, type DialOptions } from './tls/dial.js';
export {
  dialUntilHealthy,
  type DialUntilHealthyOptions,
  type HealthyLink,
} from './liveness/dial-until-healthy.js';
export type { LinkErrorCode } from './errors.js';
export { checkHealth, type HealthOptions } from './liveness/health.js';
export type { VerifiedPeer, PeerInfo, PeerTls } from './tls/verify-peer.js';
export { listenLink, type LinkListener, type ListenOptions } from './tls/listen.js';
export { LOSS_CAUSES, lossCause, type LossCause } from './liveness/loss.js';
export { verifyAsALinkWould, type Verdict } from './tls/verify-certificates.js';
export { proveMaterial } from './tls/prove-material.js';
export type { PeerRefusal } from './tls/refusal-log.js';
export { lentConnection, readsInForce } from './relay/reading.js';
export { startRelay } from './relay/relay.js';
export {
  SharedUpstream,
  type SharedRelayOptions,
  type SharedUpstreamOptions,
} from './relay/shared-upstream.js';
export type {
  AgentEnd,
  Backend,
  CallEnded,
  CloseReason,
  LentReads,
  Rewrite,
  RewriteContext,
  RewriteOutcome,
  InFlightCall,
  Relay,
  RelayObserver,
  RelayOptions,
} from './relay/types.js';
export { beginSession, type SessionDialOptions } from './session/session-dialler.js';
export { SessionTable, type SessionCounts, type SessionTableOptions } from './session/session-table.js';
export type { LinkSecurity, ListenSecurity } from './tls/security.js';
