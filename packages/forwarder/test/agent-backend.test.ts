// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@peerpod-tls/daemon';
import t from 'tap';
import type { Test } from 'tap';

import { agentBackend } from '../src/agent-backend.js';

function setUp(t: Test, timeoutMs: number) {
  const directory = mkdtempSync(join(tmpdir(), 'ab-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const lines: string[] = [];
  const log = createLogger({ name: 'test', destination: { write: (line: string) => void lines.push(line) } });
  const agentSocket = join(directory, 's');
  return { agentSocket, lines, backend: agentBackend({ agentSocket, timeoutMs, log }) };
}

async function listen(t: Test, path: string) {
  const server = createServer(socket => socket.on('error', () => {}).end('agent')).listen(path);
  t.teardown(() => server.close());
  await once(server, 'listening');
}

const never = new AbortController().signal;

t.test('an agent that starts late is met, and its absence was said once', async t => {
  const { agentSocket, lines, backend } = setUp(t, 20_000);
  t.match(await backend.trouble(), /takes no connection: .*ENOENT/);
  const opening = Promise.all([backend.open(never), backend.open(never)]);
  await new Promise(resolve => setTimeout(resolve, 60));
  await listen(t, agentSocket);
  for (const socket of await opening) {
    const [chunk] = await once(socket, 'data');
    t.equal(String(chunk), 'agent');
    socket.destroy();
  }
  t.equal(await backend.trouble(), null);
  t.same(
    lines.map(line => JSON.parse(line).msg),
    ['agent awaited', 'agent found'],
  );
});

t.test('an agent that never comes is named with the time it was given', async t => {
  const { agentSocket, backend } = setUp(t, 60);
  await t.rejects(backend.open(never), {
    code: 'ERR_FORWARDER_AGENT_ABSENT',
    message: new RegExp(`${agentSocket} within 0.06 s: .*ENOENT`),
  });
});

t.test('what is no socket is reported, not waited for in silence', async t => {
  const { agentSocket, backend } = setUp(t, 40);
  writeFileSync(agentSocket, '');
  await t.rejects(backend.open(never), {
    code: 'ERR_FORWARDER_AGENT_ABSENT',
    message: /ECONNREFUSED|ENOTSOCK/,
  });
});

t.test('the wait ends at once when the link has gone', async t => {
  const { backend } = setUp(t, 600_000);
  const link = new AbortController();
  const opening = backend.open(link.signal);
  setTimeout(() => link.abort(), 20);
  await t.rejects(opening, { name: 'AbortError' });
  await t.rejects(backend.open(link.signal), { name: 'AbortError' });
});
