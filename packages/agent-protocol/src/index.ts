// SPDX-License-Identifier: Apache-2.0
// Public names of the package. Relays import './wire' instead, which loads no message classes.
export { int64, uint64 } from './messages/int64.js';
export { jsonToMessage } from './messages/json-request.js';
export { messageToJson } from './messages/json-response.js';
export { grpc, types } from '../gen/messages.js';
export {
  agentMethods,
  agentServiceName,
  healthServiceName,
  traitsOf,
  type MethodTraits,
} from './methods/method-traits.js';
export { listMethods, type FieldInfo, type MethodInfo } from './methods/methods.js';
export { agentService, healthService, operatorService, podVmInfoService } from './methods/services.js';
export { hypervisorService, proxyService } from './proxy.js';
