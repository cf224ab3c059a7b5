// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@peerpod-tls/daemon';
import t from 'tap';
import type { Test } from 'tap';

import { AgentSocket } from '../src/agent-socket.js';

function setUp(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'ab-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const lines: string[] = [];
  const log = createLogger({ name: 'test', destination: { write: (line: string) => void lines.push(line) } });
  const agentSocket = join(directory, 's');
  const said = () => lines.map(line => JSON.parse(line).msg);
  return { agentSocket, said, socket: new AgentSocket({ agentSocket, log }) };
}

async function listen(t: Test, path: string) {
  const server = createServer(socket => socket.on('error', () => {}).end('agent')).listen(path);
  t.teardown(() => server.close());
  await once(server, 'listening');
}

const never = new AbortController().signal;

/** Waits for the words an opening that goes on has found. */
async function trouble(socket: AgentSocket, words: RegExp): Promise<string> {
  while (!words.test(socket.trouble)) await new Promise(resolve => setTimeout(resolve, 5));
  return socket.trouble;
}

t.test('an agent that starts late is met, and its absence was said once', async t => {
  const { agentSocket, said, socket } = setUp(t);
  const opening = socket.open(never);
  await trouble(socket, /takes no connection: .*ENOENT/);
  await new Promise(resolve => setTimeout(resolve, 60));
  await listen(t, agentSocket);
  const met = await opening;
  // What it says at once waits for who listens later.
  await new Promise(resolve => setTimeout(resolve, 20));
  const ended = once(met.stream, 'end');
  const words = await new Promise<string>(resolve =>
    met.readLent((bytes, length) => resolve(bytes.toString('utf8', 0, length))),
  );
  t.equal(words, 'agent');
  await ended;
  met.stream.destroy();
  t.same(said(), ['agent awaited', 'agent connected']);
});

t.test('an agent that never comes is named with the time it was given', async t => {
  const { agentSocket, socket } = setUp(t);
  const stop = new AbortController();
  const opening = socket.open(stop.signal);
  await trouble(socket, /ENOENT/);
  t.match(socket.absent(60), {
    code: 'ERR_FORWARDER_AGENT_ABSENT',
    message: new RegExp(`${agentSocket} within 0.06 s: .*ENOENT`),
  });
  stop.abort();
  await t.rejects(opening, { name: 'AbortError' });
});

t.test('what is no socket is reported, not waited for in silence', async t => {
  const { agentSocket, said, socket } = setUp(t);
  writeFileSync(agentSocket, '');
  const stop = new AbortController();
  const opening = socket.open(stop.signal);
  await trouble(socket, /ECONNREFUSED|ENOTSOCK/);
  stop.abort();
  await t.rejects(opening, { name: 'AbortError' });
  t.same(said(), ['agent awaited']);
});

t.test('an agent that listens and has removed its socket is told from one that is not there', async t => {
  const { agentSocket, said, socket } = setUp(t);
  await listen(t, agentSocket);
  rmSync(agentSocket);
  const stop = new AbortController();
  const opening = socket.open(stop.signal);
  const words = await trouble(socket, /removed/);
  t.match(words, /only a forwarder that was connected before reaches it.*delete the pod/);
  stop.abort();
  await t.rejects(opening, { name: 'AbortError' });
  t.same(said(), ['agent out of reach']);
});

t.test('the wait ends at once with its signal', async t => {
  const { socket } = setUp(t);
  const stop = new AbortController();
  const opening = socket.open(stop.signal);
  setTimeout(() => stop.abort(), 20);
  await t.rejects(opening, { name: 'AbortError' });
  await t.rejects(socket.open(stop.signal), { name: 'AbortError' });
});
