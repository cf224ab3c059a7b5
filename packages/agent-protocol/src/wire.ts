// SPDX-License-Identifier: Apache-2.0
// What a relay needs: edits on bytes and the method table. Loads no message classes, which are most of this package.
export { withAnnotations, withNetworkNamespace } from './container-edits.js';
export { viewCreateContainer, type CreateContainerView } from './container-view.js';
export type { EditResult, Refused } from './edit-result.js';
export {
  agentMethods,
  agentServiceName,
  healthServiceName,
  traitsOf,
  type AgentMethod,
  type MethodTraits,
} from './method-traits.js';
export { withoutSandboxDns } from './sandbox-edits.js';
