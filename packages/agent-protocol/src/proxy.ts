// SPDX-License-Identifier: Apache-2.0
// What an agent-protocol-proxy speaks by itself: its own service, and the hypervisor's that it stands in front of. Loads
// none of the agent's messages, which pass through a proxy as bytes.
import { defineService, unary } from '@peerpod-tls/ttrpc';
import { hypervisor, peerpod } from '../gen/proxy-messages.js';

export { peerpod };

/** What a kata shim calls to have a pod VM made, started and stopped; the adaptor serves it. */
export const hypervisorService = defineService('hypervisor.Hypervisor', {
  CreateVM: unary(hypervisor.CreateVMRequest, hypervisor.CreateVMResponse),
  StartVM: unary(hypervisor.StartVMRequest, hypervisor.StartVMResponse),
  StopVM: unary(hypervisor.StopVMRequest, hypervisor.StopVMResponse),
  Version: unary(hypervisor.VersionRequest, hypervisor.VersionResponse),
});

const { v1: proxy } = peerpod.proxy;

/** How an adaptor drives an agent-protocol-proxy; ours, served on the proxy's control socket. */
export const proxyService = defineService('peerpod.proxy.v1.Proxy', {
  Hello: unary(proxy.HelloRequest, proxy.HelloResponse),
  SetMaterial: unary(proxy.SetMaterialRequest, proxy.SetMaterialResponse),
  AwaitAgent: unary(proxy.AwaitAgentRequest, proxy.AwaitAgentResponse),
  Open: unary(proxy.OpenRequest, proxy.OpenResponse),
  Close: unary(proxy.CloseRequest, proxy.CloseResponse),
  List: unary(proxy.ListRequest, proxy.ListResponse),
  Watch: unary(proxy.WatchRequest, proxy.WatchResponse),
  Statistics: unary(proxy.StatisticsRequest, proxy.StatisticsResponse),
  Retire: unary(proxy.RetireRequest, proxy.RetireResponse),
  Stop: unary(proxy.StopRequest, proxy.StopResponse),
});
