// SPDX-License-Identifier: Apache-2.0
// Messages to systemd, received by a real datagram socket: Node.js has none, so Python holds it where there is one.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createLogger } from '../src/log.js';
import { notifySystemd } from '../src/systemd.js';

const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
text = ""
while text != "STOPPING=1":
    # Newer helpers send a BARRIER=1 after each state.
    text = s.recv(4096).decode()
    print(text, flush=True)
`;

const has = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
const missing = ['python3', 'systemd-notify'].filter(command => !has(command));

t.test(
  'states arrive at the socket that NOTIFY_SOCKET names',
  { skip: missing.length > 0 && `needs ${missing.join(', ')}` },
  async t => {
    const directory = mkdtempSync(join(tmpdir(), 'notify-'));
    t.teardown(() => rmSync(directory, { recursive: true }));
    const path = join(directory, 's');
    const receiver = spawn('python3', ['-c', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => void receiver.kill());
    let heard = '';
    receiver.stdout.setEncoding('utf8').on('data', (text: string) => (heard += text));
    while (!heard.includes('bound')) await once(receiver.stdout, 'data');
    const env = { ...process.env, NOTIFY_SOCKET: path };
    await notifySystemd('READY=1', env);
    await notifySystemd('STATUS=2 links', env);
    await notifySystemd('STOPPING=1', env);
    if (receiver.exitCode === null) await once(receiver, 'exit');
    for (const state of ['READY=1', 'STATUS=2 links', 'STOPPING=1']) t.match(heard, state);
  },
);

t.test('without NOTIFY_SOCKET nothing happens', async t => {
  await notifySystemd('READY=1', { PATH: '/nowhere' });
  t.pass('no helper was looked for');
});

t.test('a helper that is missing or fails is a warning, not an end', async t => {
  const lines: string[] = [];
  const log = createLogger({ name: 'test', destination: { write: line => void lines.push(line) } });
  await notifySystemd('READY=1', { NOTIFY_SOCKET: '/nowhere/s', PATH: '/nowhere' }, log);
  t.match(lines[0], /"level":"warn".*"msg":"service manager not notified"/);
});
