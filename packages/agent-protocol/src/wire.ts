// SPDX-License-Identifier: Apache-2.0
// What a relay needs: rewrites on bytes and the method table. Loads no message classes, which are most of this package.
export { withAnnotations, withNetworkNamespace } from './rewrites/container-rewrites.js';
export { viewCreateContainer, type CreateContainerView } from './rewrites/container-view.js';
export type { RewriteResult, Refused } from './rewrites/rewrite-result.js';
export {
  agentMethods,
  agentServiceName,
  healthServiceName,
  traitsOf,
  type AgentMethod,
  type MethodTraits,
} from './methods/method-traits.js';
export { withoutSandboxDns } from './rewrites/sandbox-rewrites.js';
