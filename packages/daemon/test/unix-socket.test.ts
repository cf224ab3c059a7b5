// SPDX-License-Identifier: Apache-2.0
// Unix sockets: who may have a path, who loses it, and what is left behind. All with real sockets and processes.
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { createLogger } from '../src/log.js';
import { MAX_SOCKET_PATH } from '../src/socket-path.js';
import { listenUnixSocket } from '../src/unix-socket.js';

const log = createLogger({ name: 'test', level: 'silent' });

interface Scope {
  teardown(fn: () => unknown): void;
}

function directory(t: Scope): string {
  const path = mkdtempSync(join(tmpdir(), 'sock-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const greet = (word: string) => (socket: Socket) => void socket.end(word);
const ask = (path: string): Promise<string> => text(connect(path));

/** A socket file whose process is gone. */
async function staleSocket(path: string): Promise<void> {
  const code = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', code]), 'exit');
}

t.test('missing directories are made 0700, the socket is 0600 and answers', async t => {
  const path = join(directory(t), 'a', 'b', 's');
  const mask = process.umask(0o000);
  t.teardown(() => process.umask(mask));
  const listener = await listenUnixSocket({ path, onConnection: greet('hello'), log });
  t.teardown(() => listener.close());
  t.equal(statSync(join(path, '..')).mode & 0o777, 0o700);
  t.equal(statSync(join(path, '..', '..')).mode & 0o777, 0o700);
  t.equal(lstatSync(path).mode & 0o777, 0o600);
  t.equal(process.umask(), 0o000, 'the mask of the process is as before');
  t.equal(await ask(path), 'hello');
});

t.test('closing removes the socket, leaves open connections alone and may be asked twice', async t => {
  const path = join(directory(t), 's');
  const peers = new EventEmitter();
  const accepted = once(peers, 'peer') as Promise<[Socket]>;
  const listener = await listenUnixSocket({
    path,
    onConnection: socket => void peers.emit('peer', socket),
    log,
  });
  const client = connect(path);
  const [peer] = await accepted;
  await listener.close();
  await listener.close();
  t.notOk(existsSync(path));
  peer.end('still here');
  t.equal(await text(client), 'still here');
});

t.test('a path on which a live process answers is refused, and that process keeps it', async t => {
  const path = join(directory(t), 's');
  const listener = await listenUnixSocket({ path, onConnection: greet('first'), log });
  t.teardown(() => listener.close());
  await t.rejects(listenUnixSocket({ path, onConnection: greet('second'), log }), {
    code: 'ERR_SOCKET_IN_USE',
    message: new RegExp(`${path} is in use: a running process answers`),
    hint: /stop the other process/,
  });
  t.equal(await ask(path), 'first');
});

t.test('a socket whose process is gone is replaced', async t => {
  const path = join(directory(t), 's');
  await staleSocket(path);
  t.ok(lstatSync(path).isSocket());
  const listener = await listenUnixSocket({ path, onConnection: greet('new'), log });
  t.teardown(() => listener.close());
  t.equal(await ask(path), 'new');
});

t.test('of two that start together over a stale socket exactly one wins', async t => {
  for (let round = 0; round < 5; round++) {
    const path = join(directory(t), 's');
    await staleSocket(path);
    const results = await Promise.allSettled(
      ['a', 'b', 'c'].map(word => listenUnixSocket({ path, onConnection: greet(word), log })),
    );
    const won = results.flatMap((result, i) =>
      result.status === 'fulfilled' ? [{ listener: result.value, word: 'abc'[i] }] : [],
    );
    const lost = results.flatMap(result =>
      result.status === 'rejected' ? [(result.reason as { code: string }).code] : [],
    );
    t.equal(won.length, 1);
    t.strictSame(lost, ['ERR_SOCKET_IN_USE', 'ERR_SOCKET_IN_USE']);
    t.equal(await ask(path), won[0]?.word);
    await won[0]?.listener.close();
  }
});

t.test('a file, a directory or a link at the path is refused and left alone', async t => {
  const dir = directory(t);
  writeFileSync(join(dir, 'file'), 'precious');
  mkdirSync(join(dir, 'dir'));
  symlinkSync('/nowhere', join(dir, 'link'));
  for (const name of ['file', 'dir', 'link']) {
    await t.rejects(listenUnixSocket({ path: join(dir, name), onConnection: greet(''), log }), {
      code: 'ERR_SOCKET_NOT_A_SOCKET',
      message: new RegExp(`${name} is there already and is no socket`),
    });
    t.ok(lstatSync(join(dir, name)));
  }
});

t.test('a path longer than the kernel takes is refused with both lengths', async t => {
  const dir = directory(t);
  const fits = join(dir, 'x'.repeat(MAX_SOCKET_PATH - dir.length - 1));
  const listener = await listenUnixSocket({ path: fits, onConnection: greet('fits'), log });
  t.equal(await ask(fits), 'fits');
  await listener.close();
  await t.rejects(listenUnixSocket({ path: `${fits}x`, onConnection: greet(''), log }), {
    code: 'ERR_SOCKET_PATH',
    message: /108 bytes long, the kernel takes 107/,
  });
  await t.rejects(listenUnixSocket({ path: '', onConnection: greet(''), log }), { code: 'ERR_SOCKET_PATH' });
});

t.test('a directory that others may write to is refused, a sticky one is not', async t => {
  const dir = directory(t);
  chmodSync(dir, 0o777);
  await t.rejects(listenUnixSocket({ path: join(dir, 's'), onConnection: greet(''), log }), {
    code: 'ERR_SOCKET_DIRECTORY',
    hint: `chmod go-w ${dir}`,
  });
  chmodSync(dir, 0o1777);
  const listener = await listenUnixSocket({ path: join(dir, 's'), onConnection: greet('ok'), log });
  t.equal(await ask(join(dir, 's')), 'ok');
  await listener.close();
});

t.test(
  'a directory of another user is refused',
  { skip: process.geteuid?.() !== 0 && 'only root can make one' },
  async t => {
    const dir = directory(t);
    chownSync(dir, 12_345, 0);
    await t.rejects(listenUnixSocket({ path: join(dir, 's'), onConnection: greet(''), log }), {
      code: 'ERR_SOCKET_DIRECTORY',
      message: /belongs to user 12345/,
    });
  },
);

t.test('a directory that cannot be made is refused with its name', async t => {
  await t.rejects(listenUnixSocket({ path: '/proc/nowhere/a/b/s', onConnection: greet(''), log }), {
    code: 'ERR_SOCKET_DIRECTORY',
    message: /cannot make the directory \/proc\/nowhere\/a\/b for the socket: ENOENT/,
  });
  const dir = directory(t);
  writeFileSync(join(dir, 'file'), '');
  await t.rejects(listenUnixSocket({ path: join(dir, 'file', 's'), onConnection: greet(''), log }), {
    code: 'ERR_SOCKET_DIRECTORY',
    message: new RegExp(`${dir}/file`),
  });
});

t.test('closing does not take the path away from a process that has it now', async t => {
  const path = join(directory(t), 's');
  const listener = await listenUnixSocket({ path, onConnection: greet('old'), log });
  rmSync(path);
  const other = createServer(greet('new')).listen(path);
  await once(other, 'listening');
  t.teardown(() => void other.close());
  await listener.close();
  t.equal(await ask(path), 'new');
});

t.test('a file put in the place of the socket survives closing too', async t => {
  const path = join(directory(t), 's');
  const listener = await listenUnixSocket({ path, onConnection: greet('old'), log });
  rmSync(path);
  writeFileSync(path, 'precious');
  await listener.close();
  t.ok(lstatSync(path).isFile());
});

t.test('a thousand may connect before one is accepted', async t => {
  const path = join(directory(t), 's');
  let accepted = 0;
  const listener = await listenUnixSocket({ path, onConnection: () => void (accepted += 1), log });
  t.teardown(() => listener.close());
  // connect(2) runs inside of connect(), and nothing is accepted before this loop has ended.
  const all = Array.from({ length: 1_000 }, () => connect(path));
  t.teardown(() => all.forEach(socket => socket.destroy()));
  await Promise.all(all.map(socket => once(socket, 'connect')));
  while (accepted < all.length) await new Promise(done => setImmediate(done));
  t.equal(accepted, 1_000);
});
