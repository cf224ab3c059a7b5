// SPDX-License-Identifier: Apache-2.0
// The status server over real sockets: what it answers, and what it does not let itself be told.
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { createLogger } from '../src/log.js';
import { createRegistry } from '../src/metrics.js';
import { joinHostPort, parseHostPort, startStatusServer, type StatusOptions } from '../src/status-server.js';

const log = createLogger({ name: 'test', level: 'silent' });

interface Scope {
  teardown(fn: () => unknown): void;
}

/** Unlike `once`, does not mind by what the connection ends. */
const closed = (socket: Socket): Promise<void> =>
  new Promise(done => void socket.once('close', () => done()));

async function start(t: Scope, options: Partial<StatusOptions> = {}) {
  const server = await startStatusServer({
    address: '127.0.0.1:0',
    startup: () => ({ ok: true, reason: 'started' }),
    ready: () => ({ ok: false, reason: 'waiting for\nthe agent' }),
    log,
    ...options,
  });
  t.teardown(() => server.close());
  const { host, port } = parseHostPort(server.address);
  const get = async (path: string, method = 'GET', headers = {}) => {
    const request = httpRequest({ host, port, path, method, headers, agent: false }).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return { status: response.statusCode, headers: response.headers, body: await text(response) };
  };
  const raw = (bytes: string) => {
    const socket = connect(port, host);
    socket.on('error', () => undefined);
    socket.write(bytes);
    return socket;
  };
  return { server, get, raw };
}

t.test('probes answer 200 or 503 with their reason on one line', async t => {
  const { get, server } = await start(t);
  t.match(server.address, /^127\.0\.0\.1:[1-9]\d*$/);
  t.match(await get('/startup'), { status: 200, body: 'started\n' });
  t.match(await get('/healthz'), { status: 200, body: 'alive\n' });
  t.match(await get('/readyz?verbose'), { status: 503, body: 'waiting for the agent\n' });
});

t.test('metrics and routes are there when given, JSON with its type', async t => {
  const metrics = createRegistry('prog');
  const { get } = await start(t, { metrics, routes: { '/sandboxes': async () => ({ sandboxes: [] }) } });
  const answer = await get('/metrics');
  t.match(answer.body, /process_cpu_seconds_total/);
  t.match(answer.body, /peerpod_build_info\{program="prog",version="\d+\.\d+\.\d+"/);
  t.match(answer.headers['content-type'], /^text\/plain; version=0\.0\.4/);
  const list = await get('/sandboxes');
  t.match(list.headers['content-type'], /application\/json/);
  t.strictSame(JSON.parse(list.body), { sandboxes: [] });
});

t.test('another path is 404 and names those that exist', async t => {
  const { get } = await start(t, { routes: { '/sandboxes': () => null } });
  t.match(await get('/'), { status: 404, body: /\/startup, \/healthz, \/readyz, \/sandboxes/ });
  t.match(await get('/metrics'), { status: 404 });
  t.match(await get('/constructor'), { status: 404 });
  t.match(await get('/../etc/passwd'), { status: 404 });
});

t.test('HEAD has no body; other methods are refused', async t => {
  const { get } = await start(t);
  t.match(await get('/healthz', 'HEAD'), { status: 200, body: '', headers: { 'content-length': '6' } });
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    t.match(await get('/healthz', method), { status: 405, headers: { allow: 'GET, HEAD' } }, method);
  }
});

t.test('a check or route that throws is 503 without its words, and the server lives', async t => {
  const { get } = await start(t, {
    ready: () => {
      throw new Error('secret detail');
    },
    routes: { '/x': () => Promise.reject(new Error('secret detail')) },
  });
  for (const path of ['/readyz', '/x']) {
    const answer = await get(path);
    t.equal(answer.status, 503);
    t.notMatch(answer.body, /secret/);
  }
  t.match(await get('/healthz'), { status: 200 });
});

t.test('a name that is not ours is answered by nobody behind it', async t => {
  const { get } = await start(t);
  t.match(await get('/healthz', 'GET', { host: 'evil.example:80' }), { status: 421 });
  for (const host of ['localhost', 'localhost:8000', '127.0.0.1:8000', '[::1]:8000', '10.0.0.1']) {
    t.match(await get('/healthz', 'GET', { host }), { status: 200 }, host);
  }
});

t.test('a request that never ends is cut off', async t => {
  const { raw, get } = await start(t, { requestMs: 200 });
  const slow = raw('GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ');
  slow.resume();
  await closed(slow);
  t.match(await get('/healthz'), { status: 200 });
});

t.test('headers without end are refused', async t => {
  const { raw } = await start(t);
  const socket = raw(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(10_000)}\r\n\r\n`);
  t.match(await text(socket), /^HTTP\/1\.1 431/);
});

t.test('hundreds of half requests keep no probe out', async t => {
  const { raw, get } = await start(t);
  const held: Socket[] = [];
  // Whoever is put out comes again at once, as a flood does.
  const hold = (): void => {
    const socket = raw('GET /healthz HTTP/1.1\r\nHost: localhost\r\n');
    socket.resume();
    held.push(socket);
  };
  for (let i = 0; i < 200; i += 1) hold();
  await Promise.all(held.slice(0, 200 - 64).map(closed));
  for (let i = 0; i < 10; i += 1) {
    for (let j = 0; j < 20; j += 1) hold();
    t.match(await get('/healthz'), { status: 200, body: 'alive\n' });
  }
  t.equal(held.filter(socket => !socket.destroyed).length <= 64, true, 'and no more than the limit are held');
  for (const socket of held) socket.destroy();
});

t.test('a connection that is being answered keeps its place', async t => {
  let finish = (): void => undefined;
  const slow = new Promise<void>(resolve => (finish = resolve));
  const { raw, get } = await start(t, { maxConnections: 2, routes: { '/slow': () => slow } });
  const [first, second] = [get('/slow'), get('/slow')];
  await new Promise(resolve => setTimeout(resolve, 100));
  const third = raw('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  third.resume();
  await closed(third);
  t.equal(third.bytesRead, 0);
  finish();
  t.match(await Promise.all([first, second]), [{ status: 200 }, { status: 200 }]);
  t.match(await get('/healthz'), { status: 200 }, 'and the next one is answered again');
});

t.test('a check that takes too long is 503', async t => {
  const lines: string[] = [];
  const { get } = await start(t, {
    ready: () => new Promise(() => undefined),
    answerMs: 50,
    log: createLogger({ name: 'test', destination: { write: line => void lines.push(line) } }),
  });
  t.match(await get('/readyz'), { status: 503, body: /the log says why/ });
  t.match(lines[0], /ERR_STATUS_TIMEOUT/);
});

t.test('closing ends connections that are open, and may be asked twice', async t => {
  const { server, raw } = await start(t);
  const idle = raw('');
  await once(idle, 'connect');
  idle.resume();
  await Promise.all([closed(idle), server.close(), server.close()]);
  t.pass('closed');
});

t.test('a port in use is refused with its address and the way out', async t => {
  const { server } = await start(t);
  await t.rejects(start(t, { address: server.address }), {
    code: 'ERR_STATUS_LISTEN',
    message: new RegExp(`cannot serve the status on ${server.address} \\(-status-address\\)`),
    hint: /another process.* -status-address/,
  });
  await t.rejects(start(t, { address: '192.0.2.1:0', setting: 'PROBE_PORT' }), {
    code: 'ERR_STATUS_LISTEN',
    hint: /of this machine with PROBE_PORT/,
  });
  await t.rejects(start(t, { address: ':80' }), {
    code: 'ERR_USAGE',
    message: /^-status-address is ":80", not/,
  });
});

t.test('addresses are host:port and nothing else', async t => {
  t.strictSame(parseHostPort('[::1]:80'), { host: '::1', port: 80 });
  t.strictSame(parseHostPort('localhost:0'), { host: 'localhost', port: 0 });
  t.equal(joinHostPort('::1', 80), '[::1]:80');
  for (const bad of [
    '',
    '8000',
    ':8000',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '::1:80',
    '[x]:80',
    'a:b:80',
    '127.0.0.1:80 ',
    'a:-1',
  ]) {
    t.throws(() => parseHostPort(bad), { code: 'ERR_USAGE', hint: /HOST:PORT/ }, bad);
  }
});
