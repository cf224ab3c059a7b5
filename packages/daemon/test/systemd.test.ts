// SPDX-License-Identifier: Apache-2.0
// Messages to systemd, received by a real datagram socket: Node.js has none, so Python holds it where there is one.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createLogger } from '../src/log.js';
import { notifySystemd } from '../src/systemd.js';
import { daemonProgram } from './fixtures/program.js';

/** Prints the sender's process id and the text of each message, until the service says that it stops. */
const RECEIVER = `
import os, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 16, 1) # SO_PASSCRED
s.bind(sys.argv[1])
print("bound", flush=True)
text = ""
while "STOPPING=1" not in text:
    # Newer helpers send a BARRIER=1 with a file descriptor after each state, and wait until that is closed.
    data, extra, _, _ = s.recvmsg(4096, 4096)
    text = data.decode()
    for level, kind, value in extra:
        if kind == 1: # SCM_RIGHTS
            os.close(struct.unpack("i", value[:4])[0])
        if kind == 2: # SCM_CREDENTIALS
            print(struct.unpack("3i", value[:12])[0], text.replace("\\n", " "), flush=True)
`;

const has = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
const missing = ['python3', 'systemd-notify'].filter(command => !has(command));
const skip = missing.length > 0 && `needs ${missing.join(', ')}`;

interface Scope {
  teardown(fn: () => unknown): void;
}

async function receive(t: Scope) {
  const directory = mkdtempSync(join(tmpdir(), 'notify-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 's');
  const receiver = spawn('python3', ['-c', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => void receiver.kill());
  let heard = '';
  receiver.stdout.setEncoding('utf8').on('data', (text: string) => (heard += text));
  const ended = once(receiver, 'close');
  while (!heard.includes('bound')) await once(receiver.stdout, 'data');
  const until = async (text: string) => {
    while (!heard.includes(text)) await once(receiver.stdout, 'data');
  };
  const all = async () => {
    await ended;
    return heard.split('\n').filter(line => line.includes('=') && !line.includes('BARRIER'));
  };
  return { path, until, all };
}

t.test('states arrive at the socket that NOTIFY_SOCKET names', { skip }, async t => {
  const { path, all } = await receive(t);
  const env = { ...process.env, NOTIFY_SOCKET: path };
  await notifySystemd('READY=1', env);
  await notifySystemd('STATUS=2 links', env);
  await notifySystemd('STOPPING=1', env);
  const lines = await all();
  t.strictSame(
    lines.map(line => line.replace(/^\d+ /, '')),
    ['READY=1', 'STATUS=2 links', 'STOPPING=1'],
  );
  // What `NotifyAccess=main` looks at. Only root may speak for another process.
  if (process.geteuid?.() === 0) t.ok(lines.every(line => line.startsWith(`${process.pid} `)));
});

t.test('a program says that it is ready, and that it stops', { skip }, async t => {
  const { path, until, all } = await receive(t);
  const fixture = await daemonProgram();
  t.teardown(() => fixture.remove());
  const child = spawn('env', fixture.argv(`NOTIFY_SOCKET=${path}`), { stdio: 'ignore' });
  await until('READY=1');
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number | null];
  t.equal(code, 0);
  t.match(await all(), [/READY=1$/, /STOPPING=1$/]);
});

t.test('without NOTIFY_SOCKET, or with an empty one, no helper runs and nothing is logged', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'notify-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const ran = join(directory, 'ran');
  writeFileSync(join(directory, 'systemd-notify'), `#!/bin/sh\n: > ${ran}\nexit 1\n`, { mode: 0o755 });
  const lines: string[] = [];
  const log = createLogger({ name: 'test', destination: { write: line => void lines.push(line) } });
  await notifySystemd('READY=1', { PATH: directory }, log);
  await notifySystemd('READY=1', { PATH: directory, NOTIFY_SOCKET: '' }, log);
  t.notOk(existsSync(ran));
  t.strictSame(lines, []);
  await notifySystemd('READY=1', { PATH: directory, NOTIFY_SOCKET: '/s' }, log);
  t.ok(existsSync(ran), 'with one it does');
  t.equal(lines.length, 1);
});

t.test('a helper that is missing or fails is a warning, not an end', async t => {
  const lines: string[] = [];
  const log = createLogger({ name: 'test', destination: { write: line => void lines.push(line) } });
  await notifySystemd('READY=1', { NOTIFY_SOCKET: '/nowhere/s', PATH: '/nowhere' }, log);
  t.match(lines[0], /"level":"warn".*"msg":"service manager not notified"/);
});
