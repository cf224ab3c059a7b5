// SPDX-License-Identifier: Apache-2.0
// The control socket of the real program: calls made twice, watches and their numbers, releases one apart, and callers
// who mean no good or talk nonsense.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { Authority } from '@peerpod-tls/certs';
import { StatusCode } from '@peerpod-tls/ttrpc';
import { eventually } from '../../../test/kit/log.js';
import { dialAgent } from '../../../test/kit/shim.js';
import { agentOf, errorOfFailure, specMessage, watchedEventOf } from '../src/control/index.js';
import { plainAgent, World } from './kit/proxy-program.js';

const plain = { material: { name: 'disabled' } };
const refused = (status: number) => ({ code: 'ERR_TTRPC_STATUS', status });

async function tlsMaterial(): Promise<{ name: string; tls: Record<string, unknown> & { keyPem: string } }> {
  const authority = await Authority.create({ subject: { CN: 'control' } });
  const { certPem, keyPem } = await authority.issue('client', { subject: { CN: 'x' } });
  const [chainPem, anchorsPem] = [certPem, [authority.certPem]];
  return {
    name: 'automatic',
    tls: { chainPem, keyPem, anchorsPem, minVersion: 'TLSv1.3', checkedAt: new Date().toISOString() },
  };
}

t.test('it says who it is', async t => {
  const world = new World(t);
  const program = await world.start(['-generation=0.1.0-abc-12345678']);
  const { calls } = await world.control();
  t.match(await calls.Hello({ api: 1 }), {
    api: 1,
    version: /^\d+\.\d+\.\d+$/,
    commit: /./,
    generation: '0.1.0-abc-12345678',
    pid: program.pid,
    startedAt: /^\d{4}-/,
    socket: world.socket,
    adaptorSocket: world.files.adaptorSocket,
    retired: false,
    sandboxes: 0,
    pendingStops: [],
    node: /./,
  });
});

t.test('every call comes to the same when it is made twice', async t => {
  const world = new World(t);
  const program = await world.start();
  const port = await plainAgent(t);
  const spec = specMessage(world.spec('a', port));
  const { calls } = await world.control();
  t.match([await calls.SetMaterial(plain), await calls.SetMaterial(plain)], [{}, {}]);
  t.equal(program.lines().filter(({ msg }) => msg === 'material in force').length, 1);
  const agents = [await calls.AwaitAgent({ spec }), await calls.AwaitAgent({ spec })];
  for (const { agent } of agents) t.match(agentOf(agent ?? {}), { attempts: 1, protocol: 'plain' });
  const opens = await Promise.all([calls.Open({ spec }), calls.Open({ spec })]);
  t.strictSame(
    opens.map(({ failure }) => failure),
    [null, null],
  );
  const shim = await dialAgent(world.spec('a', port).socket);
  await shim.health.Check({});
  t.strictSame((await calls.Open({ spec })).failure, null);
  t.match(await shim.health.Check({}), { status: 1 }, 'and a connection that is there stays');
  t.match((await calls.List({})).sandboxes, [{ sandbox: 'a', pod: 'default/a', connections: 1 }]);
  t.match(await calls.Statistics({}), { text: /peerpod_calls_total\{method="Check",code="ok"\} 2/ });
  t.match([await calls.Close({ sandbox: 'a' }), await calls.Close({ sandbox: 'a' })], [{}, {}]);
  await shim.client.closed;
  t.match((await calls.List({})).sandboxes, []);
  t.notOk(existsSync(join(world.files.sandboxes, 'a.json')));
});

t.test('opened with another spec, a sandbox is closed and opened anew', async t => {
  const world = new World(t);
  await world.start();
  const { calls } = await world.control();
  await calls.SetMaterial(plain);
  const before = world.spec('a', await plainAgent(t));
  await calls.Open({ spec: specMessage(before) });
  const shim = await dialAgent(before.socket);
  await shim.health.Check({});
  const after = { ...before, port: await plainAgent(t) };
  t.strictSame((await calls.Open({ spec: specMessage(after) })).failure, null);
  await shim.client.closed;
  t.match(await (await dialAgent(after.socket)).health.Check({}), { status: 1 });
  t.match(JSON.parse(readFileSync(join(world.files.sandboxes, 'a.json'), 'utf8')), { port: after.port });
});

t.test('Close ends who waits for the agent of that sandbox, and nobody else', async t => {
  const world = new World(t);
  await world.start();
  const { calls } = await world.control();
  await calls.SetMaterial(plain);
  const [a, b] = ['a', 'b'].map(id =>
    calls.AwaitAgent({ spec: specMessage(world.spec(id, 1)), deadlineMs: 3000 }),
  );
  await new Promise(resolve => setTimeout(resolve, 100));
  await calls.Close({ sandbox: 'a' });
  t.match(errorOfFailure((await a)?.failure ?? {}), {
    code: 'ERR_PROXY_CLOSED',
    message: /sandbox a was closed while its agent was awaited/,
  });
  t.match(
    errorOfFailure((await b)?.failure ?? {}),
    { code: /^ERR_LINK_/ },
    'b tried for as long as it was told',
  );
});

t.test('material that is none is refused with its reason, and what was there before stays', async t => {
  const world = new World(t);
  const program = await world.start();
  const { calls } = await world.control();
  const { name, tls } = await tlsMaterial();
  const other = await tlsMaterial();
  t.strictSame((await calls.SetMaterial({ material: { name, tls } })).failure, null);
  const kept = readFileSync(world.files.material, 'utf8');
  for (const [material, code] of [
    [{ name, tls: { ...tls, keyPem: other.tls.keyPem } }, 'ERR_CERT_KEY_MISMATCH'],
    [{ name, tls: { ...tls, keyPem: 'nonsense' } }, /^ERR_CERT_/],
    [{ name, tls: { ...tls, minVersion: 'SSLv3' } }, 'ERR_PROXY_MESSAGE'],
    [{ name, tls: { ...tls, checkedAt: 'yesterday' } }, 'ERR_PROXY_MESSAGE'],
    [{ tls }, 'ERR_PROXY_MESSAGE'],
    [null, 'ERR_PROXY_MESSAGE'],
  ] as const)
    t.match((await calls.SetMaterial({ material })).failure, { code });
  t.equal(readFileSync(world.files.material, 'utf8'), kept);
  await calls.SetMaterial({
    material: { name, tls: { ...tls, checkedAt: new Date(Date.now() + 5000).toISOString() } },
  });
  t.equal(readFileSync(world.files.material, 'utf8'), kept, 'the same as before is no change');
  t.notMatch(program.stderr, /PRIVATE KEY-----/, 'and no key is in the log');
});

t.test('a watch tells what happened since, with numbers, and waits for more', async t => {
  const world = new World(t);
  const first = await world.start();
  const { calls } = await world.control();
  await calls.SetMaterial(plain);
  await calls.Open({ spec: specMessage(world.spec('a', await plainAgent(t))) });
  const empty = await calls.Watch({ after: 0, waitMs: 50 });
  t.strictSame([empty.events, empty.missed], [[], 0]);
  const more = calls.Watch({ after: 0, process: empty.process, waitMs: 10_000 });
  const shim = await dialAgent(world.spec('a', 1).socket);
  const { events, process } = await more;
  t.strictSame(events.map(watchedEventOf), [{ number: 1, sandbox: 'a', event: { t: 'connected' } }]);
  shim.client.close();
  const next = await calls.Watch({ after: 1, process, waitMs: 10_000 });
  t.strictSame(next.events.map(watchedEventOf), [{ number: 2, sandbox: 'a', event: { t: 'disconnected' } }]);
  const again = await calls.Watch({ after: 1, process, waitMs: 10_000 });
  t.strictSame(again, next, 'a question that is asked again has the same answer');
  await first.kill('SIGKILL');
  await world.start();
  const { calls: others } = await world.control();
  await dialAgent(world.spec('a', 1).socket);
  const anew = await others.Watch({ after: 2, process, waitMs: 10_000 });
  t.not(anew.process, process);
  t.strictSame(anew.events.map(watchedEventOf), [{ number: 1, sandbox: 'a', event: { t: 'connected' } }]);
});

t.test('a sandbox in another TLS mode than the material is dialled with nothing', async t => {
  const world = new World(t);
  await world.start();
  const { calls } = await world.control();
  await calls.SetMaterial({ material: { name: 'other' } });
  const { failure } = await calls.AwaitAgent({ spec: specMessage(world.spec('a', await plainAgent(t))) });
  t.match(errorOfFailure(failure ?? {}), {
    code: 'ERR_PROXY_TLS_MODE',
    permanent: true,
    hint: /TLS options it had/,
  });
});

t.test(
  'programs one release older and newer are understood, those further away are told and not served',
  async t => {
    const world = new World(t);
    await world.start();
    for (const api of [0, 2]) {
      const { calls } = await world.control();
      t.match(await calls.Hello({ api, program: 'cloud-api-adaptor', serves: false }), { api: 1 });
      t.match(await calls.List({}), { sandboxes: [] });
    }
    const { calls } = await world.control();
    t.match(await calls.Hello({ api: 3, program: 'cloud-api-adaptor', version: '9.9.9', serves: true }), {
      api: 1,
    });
    await t.rejects(calls.List({}), {
      status: StatusCode.failedPrecondition,
      message: /cloud-api-adaptor 9.9.9 speaks version 3 of the control protocol, this one speaks 1/,
    });
    const { hypervisor } = await world.shim();
    await t.rejects(hypervisor.Version({}, { timeoutMs: 400 }), refused(StatusCode.unavailable));
  },
);

t.test('a newer adaptor may send fields that this release does not know', async t => {
  const world = new World(t);
  await world.start();
  const { client, calls } = await world.control();
  // Field 99, a text, behind api = 2.
  const future = Buffer.concat([Buffer.from([8, 2]), Buffer.from([0x9a, 6, 3]), Buffer.from('new')]);
  t.ok((await client.call('peerpod.proxy.v1.Proxy', 'Hello', future)).length > 0);
  await t.rejects(
    client.call('peerpod.proxy.v1.Proxy', 'Resume', Buffer.of()),
    refused(StatusCode.unimplemented),
  );
  t.match(await calls.List({}), { sandboxes: [] });
});

t.test('specs that are none are refused with what is wrong with them, and touch nothing', async t => {
  const world = new World(t);
  await world.start();
  const { calls } = await world.control();
  const good = specMessage(world.spec('a', 1));
  const changes: [Partial<typeof good>, RegExp][] = [
    [{ sandbox: '../../etc/passwd' }, /names the sandbox "..\/..\/etc\/passwd"/],
    [{ sandbox: '' }, /names the sandbox ""/],
    [{ sandbox: 'x'.repeat(500) }, /names the sandbox/],
    [{ socket: 'relative' }, /as the socket of sandbox a/],
    [{ socket: '/a\0b' }, /as the socket of sandbox a/],
    [{ addresses: [] }, /names no address/],
    [{ port: 0 }, /names port 0/],
    [{ port: 70_000 }, /names port 70000/],
  ];
  for (const [change, message] of changes)
    t.match((await calls.Open({ spec: { ...good, ...change } })).failure, {
      code: 'ERR_PROXY_MESSAGE',
      message,
    });
  t.match((await calls.Open({})).failure, { code: 'ERR_PROXY_MESSAGE' });
  t.match((await calls.Open({ spec: { ...good, socket: `/${'x'.repeat(200)}` } })).failure, {
    code: 'ERR_SOCKET_PATH',
  });
  const file = join(world.directory, 'file');
  writeFileSync(file, 'a letter');
  t.match((await calls.Open({ spec: { ...good, socket: file } })).failure, {
    code: 'ERR_SOCKET_NOT_A_SOCKET',
  });
  t.equal(readFileSync(file, 'utf8'), 'a letter');
  await calls.Close({ sandbox: '../material' });
  t.match((await calls.List({})).sandboxes, []);
});

t.test('bytes that are no ttrpc, and calls by the thousand, cost nobody else anything', async t => {
  const world = new World(t);
  const program = await world.start();
  await world.adaptor();
  for (const path of [world.files.controlSocket, world.socket]) {
    for (const bytes of [
      randomBytes(5000),
      Buffer.alloc(100, 0xff),
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.of(0),
    ]) {
      const socket = connect(path);
      socket.on('error', () => {});
      socket.write(bytes);
      await new Promise(resolve => setTimeout(resolve, 20));
      socket.destroy();
    }
  }
  const { calls } = await world.control();
  const many = Array.from({ length: 5000 }, () =>
    calls.Watch({ after: 0, waitMs: 60_000 }, { timeoutMs: 3000 }),
  );
  const outcomes = Promise.allSettled(many);
  t.match(
    await (await world.control()).calls.Hello({ api: 1 }),
    { pid: program.pid },
    'another connection is served',
  );
  t.match(await (await world.shim()).hypervisor.Version({}), { version: 'one' });
  t.ok(
    (await outcomes).some(({ status }) => status === 'rejected'),
    'more than a connection may have are refused',
  );
  t.equal(program.child.exitCode, null);
});

t.test(
  'files that somebody spoilt cost the sandbox they are of, and the log names them without a word of theirs',
  async t => {
    const world = new World(t);
    const first = await world.start();
    const { calls } = await world.control();
    const { name, tls } = await tlsMaterial();
    await calls.SetMaterial({ material: { name, tls } });
    for (const id of ['a', 'b', 'c']) await calls.Open({ spec: specMessage(world.spec(id, 1)) });
    await first.kill('SIGKILL');
    writeFileSync(join(world.files.sandboxes, 'a.json'), '{"sandbox":');
    writeFileSync(
      join(world.files.sandboxes, 'b.json'),
      JSON.stringify({ ...specMessage(world.spec('other', 1)) }),
    );
    writeFileSync(join(world.files.sandboxes, '..evil.json'), '{}');
    mkdirSync(join(world.files.stops, 'x'));
    writeFileSync(world.files.material, readFileSync(world.files.material, 'utf8').slice(0, -40));
    const program = await world.start();
    const { calls: told } = await world.control();
    t.strictSame(
      (await told.List({})).sandboxes.map(({ sandbox }) => sandbox),
      ['c'],
    );
    t.match(
      program.lines().filter(({ msg }) => msg === 'file of the proxy not usable'),
      [{ file: world.files.material, reason: 'it is no JSON' }, { file: /a\.json$/ }],
    );
    t.notMatch(program.stderr, /BEGIN|chainPem/);
    t.ok(await eventually(() => existsSync(world.spec('c', 1).socket)));
  },
);
