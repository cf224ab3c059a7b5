// SPDX-License-Identifier: Apache-2.0
// Instance names and sandbox ids.
import t from 'tap';
import { distinctInstanceName, instanceName } from '../../src/sandboxes/instance-name.js';
import { checkSandboxId } from '../../src/sandboxes/sandbox-id.js';

t.test('an instance is named as upstream names it, which the server certificate must say', async t => {
  t.equal(instanceName('nginx', '12345678abcd'), 'podvm-nginx-12345678');
  t.equal(instanceName('Ngi.nx_ü', 'AB-CD-EF-GH'), 'podvm-ngi-nx---ab-cd-ef');
  t.equal(instanceName('p'.repeat(48), '12345678'), `podvm-${'p'.repeat(48)}-12345678`);
  t.equal(instanceName('p'.repeat(49), '12345678'), `podvm-${'p'.repeat(48)}-12345678`);
  t.equal(instanceName('p'.repeat(49), '12345678', 47), `podvm-${'p'.repeat(32)}-12345678`);
  t.equal(instanceName('p'.repeat(90), '12345678', 0), `podvm-${'p'.repeat(90)}-12345678`);
  t.equal(instanceName('pod', '12345678', 3), 'podvm--12345678', 'too short a limit crashes nobody');
  t.equal(instanceName('pod', 'abcdefg-h'), 'podvm-pod-abcdefg', 'a DNS label does not end with a hyphen');
});

t.test('every name is a DNS label', async t => {
  for (const pod of ['a', 'A.B', '日本', '-', '_'.repeat(80)])
    for (const id of ['1', 'a_______', 'x'.repeat(64), 'a.b.c'])
      for (const name of [instanceName(pod, id), distinctInstanceName(pod, id)])
        t.match(name, /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
});

t.test('a distinct name depends on the whole id', async t => {
  t.not(distinctInstanceName('p', 'sandbox-one'), distinctInstanceName('p', 'sandbox-two'));
  t.equal(distinctInstanceName('p', 'sandbox-one').length, 'podvm-p-12345678'.length);
});

t.test('an id that fits is accepted, up to the length of a socket path', async t => {
  const dir = '/run/peerpod/pods';
  for (const id of ['a', 'A_b.c-1', '0'.repeat(64)]) t.doesNotThrow(() => checkSandboxId(id, dir));
  t.throws(() => checkSandboxId('0'.repeat(78), dir), {
    code: 'ERR_ADAPTOR_SANDBOX_ID',
    message: /108 bytes.*107/,
  });
  t.doesNotThrow(() => checkSandboxId('0'.repeat(77), dir));
});
