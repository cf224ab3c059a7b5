// SPDX-License-Identifier: Apache-2.0
// Public names of the package. Relays import './wire' instead, which loads no message classes.
export { withAnnotations, withNetworkNamespace } from './container-edits.js';
export { viewCreateContainer, type CreateContainerView } from './container-view.js';
export type { EditResult, Refused } from './edit-result.js';
export { AgentProtocolError, type AgentProtocolErrorCode } from './errors.js';
export { int64, uint64 } from './int64.js';
export { camelCase, jsonToMessage } from './json-request.js';
export { messageToJson, type JsonValue } from './json-response.js';
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
} from './messages.js';
export {
  agentMethods,
  agentServiceName,
  healthServiceName,
  traitsOf,
  type AgentMethod,
  type MethodTraits,
} from './method-traits.js';
export { findMethod, listMethods, type FieldInfo, type MethodInfo } from './methods.js';
export { withoutSandboxDns } from './sandbox-edits.js';
export {
  agentService,
  healthService,
  hypervisorService,
  operatorService,
  podVmInfoService,
} from './services.js';
