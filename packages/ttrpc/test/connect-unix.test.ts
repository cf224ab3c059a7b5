// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { connectUnix } from '../src/index.js';
import { runEcho } from './support/echo.js';

t.test('a client is connected when the promise resolves', async t => {
  const running = await runEcho();
  t.teardown(() => running.stop());
  const client = await connectUnix(running.path, { timeoutMs: 5000, signal: new AbortController().signal });
  t.equal((await client.call('test.Echo', 'Say', Buffer.from('hi'))).length, 2);
  client.close();
});

t.test('each way a socket can be missing has its own hint', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'ttrpc-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const code = 'ERR_TTRPC_CONNECT';
  await t.rejects(connectUnix(join(directory, 'none')), {
    code,
    message: /none: ENOENT$/,
    hint: /no such socket/,
  });
  writeFileSync(join(directory, 'file'), '');
  await t.rejects(connectUnix(join(directory, 'file')), { code, message: /ECONNREFUSED|ENOTSOCK/ });
  const dead = join(directory, 'dead');
  const listener = createServer();
  await new Promise<void>(resolve => {
    listener.listen(dead, resolve);
  });
  const { renameSync } = await import('node:fs');
  renameSync(dead, `${dead}.kept`);
  await new Promise(resolve => {
    listener.close(resolve);
  });
  await t.rejects(connectUnix(`${dead}.kept`), { code, message: /ECONNREFUSED$/, hint: /nobody listens/ });
  await t.rejects(connectUnix(`/tmp/${'x'.repeat(120)}`), {
    code,
    message: /at most 107 bytes/,
    hint: /shorter/,
  });
});

t.test('an aborted signal ends the attempt', async t => {
  await t.rejects(connectUnix('/nowhere', { signal: AbortSignal.abort(new Error('why')) }), {
    code: 'ERR_TTRPC_STATUS',
    message: /canceled/,
    cause: { message: 'why' },
  });
  const controller = new AbortController();
  const running = await runEcho();
  t.teardown(() => running.stop());
  const attempt = connectUnix(running.path, { signal: controller.signal });
  controller.abort();
  await t.rejects(attempt, { code: 'ERR_TTRPC_STATUS', message: /canceled/ });
});
