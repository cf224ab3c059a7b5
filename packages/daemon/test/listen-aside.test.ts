// SPDX-License-Identifier: Apache-2.0
// A socket that takes the place of another: who gets which connection, and whose file it is.
import { once } from 'node:events';
import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { listenAside } from '../src/listen-aside.js';
import { createLogger } from '../src/log.js';
import { listenUnixSocket } from '../src/unix-socket.js';

const log = createLogger({ name: 'test', level: 'silent' });

function directory(t: { teardown(fn: () => unknown): void }): string {
  const path = mkdtempSync(join(tmpdir(), 'aside-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const greet = (word: string) => (socket: Socket) => void socket.end(word);
const ask = (path: string): Promise<string> => text(connect(path));

t.test(
  'a live socket is replaced, its open connections stay, and the older one leaves the path alone',
  async t => {
    const path = join(directory(t), 's');
    const kept: Socket[] = [];
    const older = await listenUnixSocket({ path, onConnection: socket => kept.push(socket), log });
    t.teardown(() => older.close());
    const before = connect(path);
    await once(before, 'connect');
    const newer = await listenAside({ path, onConnection: greet('newer'), log });
    t.teardown(() => newer.close());
    t.equal(await ask(path), 'newer');
    t.equal(lstatSync(path).mode & 0o777, 0o600);
    await older.close();
    t.equal(await ask(path), 'newer', 'the older one took only its own away');
    kept[0]?.end('older');
    t.equal(await text(before), 'older');
    await newer.close();
    await newer.close();
    t.notOk(existsSync(path), 'and the newer one removes what is its own');
    t.strictSame(readdirSync(join(path, '..')), [], 'nothing is left beside');
  },
);

t.test('of two that took a path in this way the first one leaves it alone too', async t => {
  const path = join(directory(t), 's');
  const first = await listenAside({ path, onConnection: greet('first'), log });
  const second = await listenAside({ path, onConnection: greet('second'), log });
  t.teardown(() => second.close());
  await first.close();
  t.equal(await ask(path), 'second');
});

t.test('the path is there at every moment of fifty replacements', async t => {
  const path = join(directory(t), 's');
  let last = await listenAside({ path, onConnection: greet('x'), log });
  let tries = 0;
  const done = new AbortController();
  const asking = (async () => {
    while (!done.signal.aborted) {
      const socket = connect(path);
      await once(socket, 'connect');
      socket.destroy();
      tries += 1;
    }
  })();
  for (let round = 0; round < 50; round += 1) {
    const next = await listenAside({ path, onConnection: greet('x'), log });
    await last.close();
    last = next;
  }
  done.abort();
  await asking;
  await last.close();
  t.ok(tries > 0);
});

t.test('what is no socket is not replaced', async t => {
  const path = join(directory(t), 's');
  writeFileSync(path, 'a letter');
  await t.rejects(listenAside({ path, onConnection: greet('x'), log }), { code: 'ERR_SOCKET_NOT_A_SOCKET' });
  await t.rejects(listenAside({ path: '', onConnection: greet('x'), log }), { code: 'ERR_SOCKET_PATH' });
});
