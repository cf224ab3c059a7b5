// SPDX-License-Identifier: Apache-2.0
// What drives a proxy and what is driven agree on: messages, names of files. Nothing of a link or a relay is loaded by
// this entry.
export { CONTROL_API, checkApi } from './api.js';
export {
  agentMessage,
  agentOf,
  sandboxViewMessage,
  sandboxViewOf,
  threadViewMessage,
  threadViewOf,
  type SandboxView,
} from './answer-message.js';
export { PROXY_PROGRAM, proxyFiles, type ProxyFiles } from './directory.js';
export { eventMessage, watchedEventOf, type WatchedEvent } from './event-message.js';
export { errorOfFailure, failureMessage } from './failure-message.js';
export { materialMessage, securityOf, type NamedSecurity } from './material-message.js';
export { isSandboxId, specMessage, specOf } from './spec-message.js';
export { REFUSAL_RULES } from '../refusal-rule.js';
export { DIRECT_VOLUMES, REDIAL_BUDGET_MS } from '../spec.js';
export type { AgentAnswer, ProxyEvent, ProxySpec, ProxyView, ThreadView } from '../spec.js';
