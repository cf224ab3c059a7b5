// SPDX-License-Identifier: Apache-2.0
// The tunnel that stands for none: what upstream's forwarder demands of one, and how ours tells it from a real one.
import t from 'tap';
import { parseApf, renderApf } from '../src/apf.js';
import { leadsNowhere, NO_TUNNEL } from '../src/pod-network.js';

t.test('no network is written as a tunnel of the VM to itself, and read back as no network', async t => {
  const text = renderApf({ podNetwork: null, podNamespace: 'ns', podName: 'pod' });
  t.match(JSON.parse(text), { 'pod-network': { 'tunnel-type': 'vxlan', interface: /^.{1,15}$/, mtu: 1450 } });
  t.equal(parseApf(text).config.podNetwork, null);
});

t.test(
  'nothing can be sent through it: no route, one address, an Ethernet address that is nobody\u2019s',
  async t => {
    t.equal(NO_TUNNEL.routes, null);
    t.match(NO_TUNNEL.podip, /\/32$/);
    const first = Number.parseInt(NO_TUNNEL['pod-hw-addr'].slice(0, 2), 16);
    t.equal(first & 0b11, 0b10, 'locally administered, and no group');
  },
);

t.test('a tunnel to a worker stays what it is', async t => {
  for (const worker of ['10.0.0.1/24', '128.0.0.1/32', '12.7.0.1/8', '127.0.0.1.example', '', null, 127]) {
    t.notOk(leadsNowhere({ ...NO_TUNNEL, 'worker-node-ip': worker }), String(worker));
  }
  t.notOk(leadsNowhere({}));
  const podNetwork = { ...NO_TUNNEL, 'worker-node-ip': '10.0.0.1/24' };
  t.same(parseApf(renderApf({ podNetwork, podNamespace: '', podName: '' })).config.podNetwork, podNetwork);
});
