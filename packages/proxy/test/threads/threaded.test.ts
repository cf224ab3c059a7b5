// SPDX-License-Identifier: Apache-2.0
// A data plane over several threads, with real threads, sockets, certificates and calls.
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { healthService } from '@peerpod-tls/agent-protocol';
import {
  Authority,
  checkMaterial,
  parseTlsProfile,
  type IssuedCertificate,
  type TlsMaterial,
} from '@peerpod-tls/certs';
import { listenLink } from '@peerpod-tls/link';
import { implement, TtrpcServer } from '@peerpod-tls/ttrpc';
import { pino } from 'pino';
import { freePort } from '../../../../test/kit/free-port.js';
import { captureLog, eventually } from '../../../../test/kit/log.js';
import { dialAgent } from '../../../../test/kit/shim.js';
import { openDataPlane } from '../../src/open.js';
import { ThreadedDataPlane } from '../../src/threads/threaded.js';
import type { ProxyEvent, ProxySpec } from '../../src/spec.js';

const NAME = 'podvm-server';
const signal = new AbortController().signal;
const silent = pino({ level: 'silent' });
const profile = parseTlsProfile({}, { minVersion: '', cipherSuites: '' });
const authority = await Authority.create({ subject: { CN: 'threads' } });

/** Node tells of every thread it starts; a test ends one from outside, as a crash does. */
const workers: Worker[] = [];
process.on('worker', (worker: Worker) => workers.push(worker));

const materialOf = (role: 'client' | 'server', { certPem, keyPem }: IssuedCertificate): TlsMaterial =>
  checkMaterial({
    role,
    cert: { pem: certPem, file: 'cert', flag: '-cert-file' },
    key: { pem: keyPem, file: 'key', flag: '-cert-key' },
    anchors: { pem: authority.certPem, file: 'ca', flag: '-ca-cert-file' },
  });

const clientMaterial = async (name: string): Promise<TlsMaterial> =>
  materialOf('client', await authority.issue('client', { subject: { CN: name } }));

/** An agent behind TLS that notes who calls. A call that is held up ends when `release` is called. */
async function agent(
  t: Test,
  port = 0,
): Promise<{ port: number; peers: string[]; hold: (on: boolean) => void }> {
  const peers: string[] = [];
  let held: Promise<void> = Promise.resolve();
  let release = (): void => {};
  const server = new TtrpcServer({
    services: [
      implement(healthService, {
        Check: async () => {
          await held;
          return { status: 1 };
        },
      }),
    ],
  });
  const material = materialOf('server', await authority.issue('server', { names: [NAME] }));
  const listener = await listenLink({
    host: '127.0.0.1',
    port,
    security: { t: 'tls', material: () => material, profile },
    onPeer: peer => {
      peers.push(peer.peer.tls?.subject ?? '');
      void server.serve(peer.socket, peer.peer);
    },
    log: silent,
  });
  t.teardown(async () => {
    server.destroy();
    await listener.close();
  });
  const hold = (on: boolean): void => {
    release();
    if (on) held = new Promise(resolve => (release = resolve));
  };
  return { port: listener.address().port, peers, hold };
}

interface Rig {
  readonly plane: ThreadedDataPlane;
  readonly events: ProxyEvent[];
  readonly log: ReturnType<typeof captureLog>;
  readonly spec: (sandbox: string, port: number) => ProxySpec;
  readonly use: (material: TlsMaterial) => void;
}

async function rig(t: Test, threads: number, limits?: { maxOldGenerationSizeMb: number }): Promise<Rig> {
  // Short: a socket path has at most 107 bytes.
  const directory = mkdtempSync(path.join(tmpdir(), 'ppt-'));
  const events: ProxyEvent[] = [];
  const log = captureLog();
  let material = await clientMaterial('first');
  const plane = new ThreadedDataPlane({
    threads,
    security: name => (name === 'automatic' ? { t: 'tls', material: () => material, profile } : null),
    // That shims come and go is told too, and is another test's business.
    onEvent: event => void (event.t.endsWith('connected') || events.push(event)),
    log: log.log,
    ...(limits === undefined ? {} : { limits }),
  });
  t.teardown(async () => {
    await plane.drain(AbortSignal.abort());
    rmSync(directory, { recursive: true, force: true });
  });
  const spec = (sandbox: string, port: number): ProxySpec => ({
    sandbox,
    pod: `default/${sandbox}`,
    socket: path.join(directory, sandbox, 'agent.ttrpc'),
    addresses: ['127.0.0.1'],
    port,
    tls: { material: 'automatic', serverName: NAME },
    rewrites: { directVolumes: '/nowhere' },
    limits: { redialBudgetMs: 2000 },
  });
  return { plane, events, log, spec, use: next => (material = next) };
}

const checks = (figures: string): string | undefined =>
  /peerpod_calls_total\{method="Check",code="ok"\} (\d+)/.exec(figures)?.[1];

t.test('one thread is the one that asks, and no other is started', async t => {
  const before = workers.length;
  const plane = openDataPlane({
    threads: 1,
    security: () => ({ t: 'plain' }),
    onEvent: () => {},
    log: silent,
  });
  t.match(await plane.threads(), [{ thread: 0, sandboxes: 0, connections: 0 }]);
  t.equal(workers.length, before);
  const two = openDataPlane({ threads: 2, security: () => ({ t: 'plain' }), onEvent: () => {}, log: silent });
  t.strictSame(
    [await two.threads(), await two.views(), workers.length],
    [[], [], before],
    'nor before it is needed',
  );
  await Promise.all([two.close('unknown'), plane.close('unknown')]);
  await two.drain(signal);
  t.equal(workers.length, before);
});

/** A thread takes half a second to start from sources: three tests share two of them. */
const shared = await rig(t, 2);
const sharedAgent = await agent(t);
const ofShared = (sandbox: string): ProxySpec => shared.spec(sandbox, sharedAgent.port);

t.test('sandboxes are spread evenly, and the figures of their threads are one sum', async t => {
  const { plane, events, log } = shared;
  const { peers } = sharedAgent;
  const specs = Array.from({ length: 50 }, (_, at) => ofShared(`s${at}`));
  const [first] = specs;
  if (first === undefined) throw new Error('no spec');
  t.match(await plane.awaitAgent(first, { deadlineMs: 20_000, signal }), {
    attempts: 1,
    protocol: 'TLSv1.3',
  });
  await Promise.all(specs.map(one => plane.open(one)));
  await t.rejects(plane.open(first), /internal error/, 'once');
  t.match(await plane.threads(), [
    { thread: 1, sandboxes: 25 },
    { thread: 2, sandboxes: 25 },
  ]);
  t.equal(statSync(first.socket).mode & 0o777, 0o600, 'nobody else may connect');
  t.strictSame(readdirSync(path.dirname(first.socket)), ['agent.ttrpc'], 'and nothing is beside it');
  const shims = await Promise.all(specs.slice(0, 6).map(one => dialAgent(one.socket)));
  for (const shim of shims) {
    await shim.health.Check({});
    await shim.health.Check({});
  }
  t.equal(checks(await plane.figures()), '12');
  const used = (await plane.views()).filter(({ connections }) => connections > 0);
  t.strictSame(used.map(({ thread }) => thread).toSorted(), [1, 1, 1, 2, 2, 2]);
  t.ok((await plane.threads()).every(({ busySeconds, connections }) => busySeconds > 0 && connections === 3));
  t.strictSame(new Set(peers), new Set(['CN=first']));
  t.equal(events.filter(event => event.t === 'handshake').length, 7);
  const line = log.lines().find(({ msg }) => msg === 'shim connected');
  t.match(line, {
    level: 'debug',
    name: 'test',
    pid: process.pid,
    sandbox: /^s\d/,
    pod: /^default.s/,
    thread: Number,
  });
  for (const shim of shims) shim.client.close();
  await plane.close('s0');
  await t.rejects(dialAgent(first.socket), { message: /ENOENT/ }, 'a socket goes when it is closed');
  t.notMatch(log.text(), /PRIVATE KEY|"level":"(warn|error)"/);
});

t.test('material that was replaced is what the next dial shows, wherever it is dialled from', async t => {
  const { use } = shared;
  const specs = [ofShared('s1'), ofShared('s2')];
  const on = (await shared.plane.views()).filter(({ sandbox }) => ['s1', 's2'].includes(sandbox));
  t.strictSame(on.map(({ thread }) => thread).toSorted(), [1, 2]);
  const before = sharedAgent.peers.length;
  const callOnAll = async (): Promise<void> => {
    for (const { socket } of specs) {
      const shim = await dialAgent(socket);
      await shim.health.Check({});
      shim.client.close();
    }
  };
  await callOnAll();
  use(await clientMaterial('second'));
  await callOnAll();
  const peers = sharedAgent.peers.slice(before);
  t.strictSame(peers, ['CN=first', 'CN=first', 'CN=second', 'CN=second']);

  const port = await freePort();
  const waiting = shared.plane.awaitAgent(shared.spec('late', port), { deadlineMs: 20_000, signal });
  await eventually(() => false, 100);
  use(await clientMaterial('third'));
  await eventually(() => false, 100);
  const late = await agent(t, port);
  await waiting;
  t.strictSame(late.peers, ['CN=third'], 'also of a dial that has been under way');
});

t.test('a thread that ends is replaced, its sockets come back, and others notice nothing', async t => {
  const { plane, events, log, spec } = await rig(t, 2);
  const { port } = await agent(t);
  await plane.open(spec('a', port));
  const lost = workers.at(-1);
  await plane.open(spec('b', port));
  const [onLost, onOther] = [
    await dialAgent(spec('a', port).socket),
    await dialAgent(spec('b', port).socket),
  ];
  await onLost.health.Check({});
  await onOther.health.Check({});
  t.equal(checks(await plane.figures()), '2');
  await lost?.terminate();
  await t.rejects(onLost.health.Check({}), 'its connections are gone');
  t.match(await onOther.health.Check({}), { status: 1 });
  // Opened while the thread is away: it goes where there is one.
  await plane.open(spec('c', port));
  t.match(await log.next('data path thread replaced'), { thread: 1, sandboxes: 1 });
  t.match(await log.next('data path thread lost, its connections are closed'), {
    level: 'error',
    thread: 1,
    sandboxes: 1,
    err: { code: 'ERR_PROXY_THREAD_LOST', cause: { message: 'its exit code is 1' } },
  });
  t.match(events, [{ t: 'handshake' }, { t: 'handshake' }, { t: 'thread-lost', thread: 1, sandboxes: 1 }]);
  const again = await dialAgent(spec('a', port).socket);
  t.match(await again.health.Check({}), { status: 1 });
  t.strictSame(
    (await plane.views()).map(({ sandbox, thread }) => [sandbox, thread]),
    [
      ['a', 1],
      ['b', 2],
      ['c', 2],
    ],
  );
  t.equal(checks(await plane.figures()), '4', 'what it had counted is kept');
  for (const { client } of [again, onOther]) client.close();
});

t.test('a thread without memory ends alone, and whoever needs it is told after some tries', async t => {
  const { plane, events, spec } = await rig(t, 1, { maxOldGenerationSizeMb: 4 });
  await t.rejects(plane.open(spec('a', 1)), {
    code: 'ERR_PROXY_THREAD_LOST',
    hint: /replaced/,
    cause: { code: 'ERR_WORKER_OUT_OF_MEMORY' },
  });
  t.match(events, [{ t: 'thread-lost' }, { t: 'thread-lost' }, { t: 'thread-lost' }]);
  t.strictSame(await plane.threads(), []);
});

t.test('a dial that is given up ends in its thread, and what it met keeps its code', async t => {
  const { plane, events, spec } = shared;
  const giveUp = new AbortController();
  const given = plane.awaitAgent(spec('a', 1), { deadlineMs: 60_000, signal: giveUp.signal });
  setTimeout(() => giveUp.abort(), 300);
  await t.rejects(given, { code: 'ERR_LINK_CLOSED', message: /given up/ });
  await t.rejects(plane.awaitAgent(spec('a', 1), { deadlineMs: 50, signal }), { message: /within 50 ms/ });
  const misnamed = { ...ofShared('x'), tls: { material: 'automatic', serverName: 'podvm-other' } };
  await t.rejects(plane.awaitAgent(misnamed, { deadlineMs: 5000, signal }), {
    code: 'ERR_LINK_WRONG_NAME',
    permanent: true,
  });
  t.match(events.at(-1), { t: 'refused', rule: 'wrong-name' }, 'a refusal is told of');
  const other = { ...spec('a', 1), tls: { material: 'manual', serverName: NAME } };
  await t.rejects(plane.awaitAgent(other, { deadlineMs: 5000, signal }), {
    code: 'ERR_PROXY_TLS_MODE',
    hint: /TLS options it had/,
    permanent: true,
  });
});

t.test('after a drain no thread is started again for what was under way', async t => {
  const { plane, spec } = await rig(t, 1, { maxOldGenerationSizeMb: 4 });
  const before = workers.length;
  const opening = t.rejects(plane.open(spec('a', 1)), { code: 'ERR_PROXY_THREAD_LOST' });
  await plane.drain(AbortSignal.abort());
  await opening;
  t.equal(workers.length, before + 1);
});

t.test('a drain lets open calls end on every thread, and is over at once when told to', async t => {
  const { plane, spec } = await rig(t, 2);
  const { port, hold } = await agent(t);
  const specs = [spec('a', port), spec('b', port)];
  await Promise.all(specs.map(one => plane.open(one)));
  const shims = await Promise.all(specs.map(one => dialAgent(one.socket)));
  for (const shim of shims) await shim.health.Check({});
  hold(true);
  const open = shims.map(shim => shim.health.Check({}));
  await eventually(() => false, 50);
  let drained = false;
  const draining = plane.drain(signal).then(() => (drained = true));
  t.notOk(await eventually(() => drained, 100), 'two calls are open');
  hold(false);
  t.match(await Promise.all(open), [{ status: 1 }, { status: 1 }]);
  await draining;
  t.strictSame([await plane.threads(), await plane.views()], [[], []]);
  await t.rejects(dialAgent(specs[0]?.socket ?? ''), { message: /ENOENT/ });

  await plane.open(spec('c', port));
  const shim = await dialAgent(spec('c', port).socket);
  await shim.health.Check({});
  hold(true);
  const cut = t.rejects(shim.health.Check({}));
  await eventually(() => false, 50);
  await plane.drain(AbortSignal.abort());
  await cut;
  hold(false);
});
