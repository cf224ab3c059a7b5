// SPDX-License-Identifier: Apache-2.0
// What `pod-network` says while no tunnel leads from the worker into the VM. Upstream's forwarder crashes when the value
// is null and ends when it cannot make the tunnel, so there has to be one that it can make: its far end is the VM itself.

/** Addresses the VM's own loopback device keeps: what is sent there never leaves the VM. */
const LOOPBACK = /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}(?:\/\d{1,2})?$/;

/**
 * A VXLAN tunnel from the VM to itself, with every key upstream's forwarder looks at before it listens: interface, both
 * addresses, an Ethernet address that is nobody's, and an MTU. The pod's address is one of RFC 5737 with no net around
 * it and no route, so that nothing can be sent through the device.
 */
export const NO_TUNNEL = {
  podip: '192.0.2.1/32',
  'pod-hw-addr': '02:00:00:00:00:01',
  interface: 'eth0',
  'worker-node-ip': '127.0.0.1/32',
  'tunnel-type': 'vxlan',
  routes: null,
  neighbors: null,
  mtu: 1450,
  index: 0,
  'vxlan-port': 4789,
  'vxlan-id': 555_000,
  dedicated: false,
  'external-net-via-pod-vm': false,
} as const;

/** Whether the far end of the tunnel is the VM itself: no worker has a loopback address. */
export function leadsNowhere(podNetwork: Readonly<Record<string, unknown>>): boolean {
  const worker = podNetwork['worker-node-ip'];
  return typeof worker === 'string' && LOOPBACK.test(worker);
}
