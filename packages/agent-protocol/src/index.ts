// SPDX-License-Identifier: Apache-2.0
// Public names of the package. Relays import './wire' instead, which loads no message classes.
export { withAnnotations, withNetworkNamespace } from './rewrites/container-rewrites.js';
export { viewCreateContainer, type CreateContainerView } from './rewrites/container-view.js';
export type { RewriteResult, Refused } from './rewrites/rewrite-result.js';
export { AgentProtocolError, type AgentProtocolErrorCode } from './errors.js';
export { int64, uint64 } from './messages/int64.js';
export { camelCase, jsonToMessage } from './messages/json-request.js';
export { messageToJson, type JsonValue } from './messages/json-response.js';
export {
  google,
  grpc,
  hypervisor,
  peerpod,
  podvminfo,
  types,
  type CreateContainerRequest,
  type CreateSandboxRequest,
  type CreateVMRequest,
  type CreateVMResponse,
  type ExecProcessRequest,
  type GetInfoRequest,
  type GetInfoResponse,
  type Interface,
  type StartVMRequest,
  type StatsContainerResponse,
  type StopVMRequest,
} from './messages/messages.js';
export {
  agentMethods,
  agentServiceName,
  healthServiceName,
  traitsOf,
  type AgentMethod,
  type MethodTraits,
} from './methods/method-traits.js';
export { findMethod, listMethods, type FieldInfo, type MethodInfo } from './methods/methods.js';
export { withoutSandboxDns } from './rewrites/sandbox-rewrites.js';
export {
  agentService,
  healthService,
  hypervisorService,
  operatorService,
  podVmInfoService,
} from './methods/services.js';
