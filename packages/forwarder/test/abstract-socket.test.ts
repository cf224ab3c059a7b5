// SPDX-License-Identifier: Apache-2.0
import t from 'tap';

import { checkAgentSocket, padsAbstractNames, socketAddress } from '../src/abstract-socket.js';

t.test('a leading @ is the NUL of an abstract name, a path stays a path', async t => {
  t.equal(socketAddress('@agent'), '\0agent');
  t.equal(socketAddress('/run/agent.sock'), '/run/agent.sock');
});

t.test('an abstract socket is refused by name exactly where this Node cannot reach one', async t => {
  await checkAgentSocket('/run/agent.sock');
  if (await padsAbstractNames()) {
    await t.rejects(checkAgentSocket('@agent'), {
      code: 'ERR_FORWARDER_ABSTRACT_SOCKET',
      message: /-kata-agent-socket @agent/,
      hint: /newer Node/,
    });
  } else {
    await checkAgentSocket('@agent');
  }
  const major = Number(process.versions.node.split('.')[0]);
  t.equal(await padsAbstractNames(), major < 22, 'Node 20 pads, the line people should run does not');
});
