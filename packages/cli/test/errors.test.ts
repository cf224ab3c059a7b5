// SPDX-License-Identifier: Apache-2.0
// Every code of the package, raised where it comes from.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { AdaptorProcess } from '../src/demo/adaptor-process.js';
import { Place } from '../src/demo/place.js';
import { programIn } from '../src/demo/programs.js';
import { findProxies } from '../src/proxy/proxies.js';
import { callError } from '../src/shim/call-error.js';
import { connectAgent, connectHypervisor } from '../src/shim/pod.js';
import { StatusError } from '@peerpod-tls/ttrpc';
import { readSandboxes } from '../src/status/endpoint.js';
import { shortDirectory } from './support/program.js';

const never = new AbortController().signal;

t.test(
  'the demo tells an adaptor that does not start from one that ended, and one that is not there',
  async t => {
    const slow = new AdaptorProcess({ dir: shortDirectory(t), env: process.env, onLine: () => {} });
    await t.rejects(slow.ready(1, never), {
      code: 'ERR_CLI_ADAPTOR_SILENT',
      message: /within 1\.00 ms/,
      hint: /log/,
    });
    await slow.stop(5_000);
    const dead = new AdaptorProcess({ dir: shortDirectory(t), env: process.env, onLine: () => {} });
    await dead.stop(0);
    await t.rejects(dead.ready(5_000, never), { code: 'ERR_CLI_ADAPTOR_DIED', message: /signal SIG/ });
    t.throws(() => programIn('@peerpod-tls/none', 'it is not there'), {
      code: 'ERR_CLI_NO_PROGRAM',
      message: 'it is not there',
    });
  },
);

t.test('directories that the demo cannot have are told apart', async t => {
  const dir = shortDirectory(t);
  writeFileSync(`${dir}/file`, '');
  t.throws(() => Place.make(dir), { code: 'ERR_CLI_EXISTS', message: /is not empty/ });
  t.throws(() => Place.make(`${dir}/file`), { code: 'ERR_CLI_BAD_INPUT', message: /cannot be used/ });
  t.throws(
    () => Place.make('/proc/none/demo'),
    { code: 'ERR_CLI_BAD_INPUT' },
    'and at once, below /proc too',
  );
});

t.test('sockets where nobody is, and calls that fail', async t => {
  await t.rejects(connectHypervisor('/nowhere/h'), {
    code: 'ERR_CLI_HYPERVISOR_UNREACHABLE',
    message: /ENOENT/,
  });
  await t.rejects(connectAgent('/nowhere/a', AbortSignal.abort()), { code: 'ERR_CLI_AGENT_UNREACHABLE' });
  t.match(callError('StartVM', new StatusError(5, 'no such sandbox')), {
    code: 'ERR_CLI_CALL_FAILED',
    message: 'StartVM failed with NotFound (5): no such sandbox',
  });
});

t.test('a state directory that cannot be looked into', async t => {
  await t.rejects(findProxies({ stateDir: '/nowhere', proxySocket: '' }), {
    code: 'ERR_CLI_NO_PROXY',
    message: /cannot look for proxies in \/nowhere\/proxy: ENOENT/,
  });
});

t.test('a status address where nobody is, and one of another program', async t => {
  const server = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const at = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  await t.rejects(readSandboxes(at), { code: 'ERR_CLI_STATUS_ANSWER', message: /something else/ });
  server.close();
  await once(server, 'close');
  await t.rejects(readSandboxes(at), {
    code: 'ERR_CLI_STATUS_UNREACHABLE',
    message: /nothing listens there/,
  });
});
