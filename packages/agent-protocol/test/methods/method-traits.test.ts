// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import {
  agentMethods,
  agentServiceName,
  healthServiceName,
  traitsOf,
} from '../../src/methods/method-traits.js';
import { allMethods } from '../../src/messages/schema.js';
import { agentService, healthService, podVmInfoService } from '../../src/methods/services.js';
import { hypervisorService } from '../../src/proxy.js';

const careful = { blocks: false, replay: false, slow: false };

t.test('the table has the methods of the .proto files, all 42, and the services serve them', async t => {
  const inProto = (service: string) =>
    allMethods()
      .filter(known => known.service === service)
      .map(known => known.method);
  t.equal(agentMethods.length, 42);
  t.strictSame([...agentMethods].sort(), inProto(agentServiceName).sort());
  for (const service of [agentService, healthService, hypervisorService, podVmInfoService]) {
    t.strictSame(Object.keys(service.methods), inProto(service.name), service.name);
  }
});

t.test('calls that wait, look or read on may run again after a lost link', async t => {
  for (const method of [
    'WaitProcess',
    'GetOOMEvent',
    'ReadStdout',
    'ReadStderr',
    'StatsContainer',
    'GetMetrics',
    'ListInterfaces',
    'ListRoutes',
  ]) {
    t.match(traitsOf(agentServiceName, method), { replay: true }, method);
  }
  for (const method of ['Check', 'Version'])
    t.match(traitsOf(healthServiceName, method), { replay: true, blocks: false });
});

t.test('calls whose bytes or effects would come twice may not', async t => {
  const once = ['WriteStdin', 'CreateContainer', 'StartContainer', 'ExecProcess'];
  once.push('SignalProcess', 'RemoveContainer', 'CreateSandbox', 'DestroySandbox', 'CopyFile', 'SetPolicy');
  for (const method of once) t.match(traitsOf(agentServiceName, method), { replay: false }, method);
});

t.test('calls that wait without limit are known', async t => {
  const blocking = agentMethods.filter(method => traitsOf(agentServiceName, method).blocks);
  t.strictSame(blocking, ['WaitProcess', 'WriteStdin', 'ReadStdout', 'ReadStderr', 'GetOOMEvent']);
});

t.test(
  'an unknown method or service, even one named like an object member, gets the careful answer',
  async t => {
    t.strictSame(traitsOf(agentServiceName, 'FromTheFuture'), careful);
    t.strictSame(traitsOf('other.Service', 'Check'), careful);
    t.strictSame(traitsOf(agentServiceName, 'constructor'), careful);
    t.strictSame(traitsOf('__proto__', 'toString'), careful);
  },
);
