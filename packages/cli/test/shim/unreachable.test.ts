// SPDX-License-Identifier: Apache-2.0
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import t from 'tap';
import { StatusCode, StatusError } from '@peerpod-tls/ttrpc';
import { callError } from '../../src/shim/call-error.js';
import { call } from '../support/in-process.js';

t.test('without an adaptor run and stop name the socket and the way out', async t => {
  const run = await call(['run', '-socket', '/nowhere/h.sock', '-wait', '0s', '--', 'true']);
  t.equal(run.code, 125);
  t.match(run.stderr, /no adaptor at \/nowhere\/h\.sock: ENOENT/);
  t.match(run.stderr, /start cloud-api-adaptor, or name its -socket/);
  const late = await call(['run', '-socket', '/nowhere/h.sock', '-wait', '150ms', '--', 'true']);
  t.equal(late.code, 125);
  t.match(
    late.stderr,
    /^peerpod: waiting up to 150 ms for an adaptor at \/nowhere\/h\.sock\npeerpod run: no adaptor/,
  );
  const stop = await call(['stop', 'x'], { env: { REMOTE_HYPERVISOR_ENDPOINT: '/nowhere/env.sock' } });
  t.equal(stop.code, 1);
  t.match(stop.stderr, /no adaptor at \/nowhere\/env\.sock/);
});

t.test('an adaptor whose provider is unavailable is not taken for a link that was lost', async t => {
  const error = new StatusError(StatusCode.unavailable, 'there is no Docker Engine');
  t.match(callError('StartVM', error), { message: /there is no Docker Engine$/, hint: undefined });
  t.match(callError('WaitProcess', error), { hint: /the link to the pod VM/ });
});

t.test('a status address where nobody listens is told as that', async t => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => server.close(resolve));
  for (const command of ['ps', 'status']) {
    const { code, stdout, stderr } = await call([command, '-address', `127.0.0.1:${port}`]);
    t.equal(code, 1);
    t.equal(stdout, '');
    t.match(
      stderr,
      /no status from 127\.0\.0\.1:\d+: nothing listens there\n.*is cloud-api-adaptor running/s,
    );
  }
});

t.test('what answers in another language, or with another document, is not taken for an adaptor', async t => {
  const ssh = createServer(socket => socket.end('SSH-2.0-OpenSSH_9.2\r\n')).listen(0, '127.0.0.1');
  const web = createHttpServer((_, response) => response.end('{"hello":"world"}')).listen(0, '127.0.0.1');
  await Promise.all([ssh, web].map(server => new Promise(resolve => server.once('listening', resolve))));
  t.teardown(() => [ssh, web].forEach(server => server.close()));
  const at = (server: { address(): AddressInfo | string | null }) => {
    const address = server.address();
    return `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  };
  const first = await call(['ps', '-address', at(ssh)]);
  t.equal(first.code, 1);
  t.match(first.stderr, /what listens there does not speak HTTP/);
  const second = await call(['ps', '-address', at(web)]);
  t.equal(second.code, 1);
  t.match(second.stderr, /answered GET \/sandboxes with something else \(status 200\)/);
});

t.test('names in the list cannot move the cursor of the person who reads it', async t => {
  const row = {
    id: 'a\u001b[2J',
    pod: 'p\nq',
    namespace: '\u202ens',
    state: 'running',
    addresses: ['1.2.3.4\r', 7],
    since: 'never',
  };
  const server = createHttpServer((_, response) =>
    response.end(JSON.stringify({ sandboxes: [row, null, 3] })),
  );
  server.listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { code, stdout } = await call(['ps', '-address', `127.0.0.1:${port}`]);
  t.equal(code, 0);
  t.match(stdout, /a\\x1b\[2J +\\u202ens\/p\\nq +running +1\.2\.3\.4\\x0d$/m);
  t.notOk(stdout.includes('\u001b') || stdout.includes('\r') || stdout.includes('\u202e'));
});
