// SPDX-License-Identifier: Apache-2.0
// Orphans of a real adaptor: its table is lost, its VM runs on, and a person decides.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { sweep } from '../../src/demo/sweep.js';
import { parseOrphans, readOrphans } from '../../src/status/endpoint.js';
import { launchAdaptor } from '../support/adaptor.js';
import { call } from '../support/in-process.js';
import { peerpod, shortDirectory } from '../support/program.js';

const dir = shortDirectory(t);
const socket = `${dir}/hypervisor.sock`;
const running: ChildProcess[] = [];
t.teardown(() => sweep(dir, { keep: false }));

async function start(): Promise<string> {
  const { child, status } = await launchAdaptor(dir);
  running.push(child);
  return status;
}

/** kill -9, as a machine that lost its state has it. */
async function kill(): Promise<void> {
  const child = running.pop();
  if (child === undefined) throw new Error('nothing runs');
  const ended = once(child, 'close');
  child.kill('SIGKILL');
  await ended;
}

t.test('a VM whose sandbox was forgotten is listed, and deleted only by its id', async t => {
  await start();
  const detached = await peerpod(t, [
    'run',
    '-detach',
    '-socket',
    socket,
    '-name',
    'web',
    '--',
    'sleep',
    '60',
  ]);
  t.equal(detached.code, 0, detached.stderr);
  await kill();
  rmSync(`${dir}/pods/.state/sandboxes`, { recursive: true });
  const address = await start();
  const now = await peerpod(t, ['orphans', '-fresh', '-socket', socket, '-quiet']);
  const id = now.stdout.trim();
  t.match(id, /^[0-9a-f]{12}$/, now.stderr);
  const listed = await peerpod(t, ['orphans', '-address', address]);
  t.match(
    listed.stdout,
    new RegExp(`ID +NAME +ADDRESS +TOKEN\\n${id} +podvm-web-web-\\S+ +127\\.\\S+ +web-`),
  );
  t.equal(listed.stderr, '');
  t.match(JSON.parse((await call(['orphans', '-json', '-address', address])).stdout), {
    provider: 'local',
    orphans: [{ id }],
  });
  const other = await peerpod(t, ['orphans', 'delete', 'aaaaaaaaaaaa', '-json', '-socket', socket]);
  t.equal(other.code, 1);
  t.match(JSON.parse(other.stdout), {
    orphans: [{ deleted: false, error: /no instance "aaaaaaaaaaaa" with/ }],
  });
  t.same((await readOrphans(address)).orphans.length, 1);
  const deleted = await peerpod(t, ['orphans', 'delete', id, '-socket', socket]);
  t.match(deleted, { code: 0, stdout: `${id}\n`, stderr: '' });
  t.same((await readOrphans(address)).orphans, []);
  t.match(await call(['orphans', '-address', address]), { code: 0, stdout: '', stderr: 'no orphans\n' });
  const home = readdirSync(`${dir}/vm`).find(name => name !== 'addresses') ?? '';
  t.same(readdirSync(`${dir}/vm/${home}`), [], 'nothing of it is left');
  // A VM with a sandbox is out of reach, by this way.
  await peerpod(t, ['run', '-detach', '-socket', socket, '-name', 'kept', '--', 'sleep', '60']);
  const [kept = ''] = readdirSync(`${dir}/vm/${home}`);
  const refused = await peerpod(t, ['orphans', 'delete', kept, '-socket', socket]);
  t.match(refused, { code: 1, stderr: /FailedPrecondition \(9\).* belongs to a sandbox; stop the sandbox/ });
  t.same(readdirSync(`${dir}/vm/${home}`), [kept]);
  await kill();
});

t.test('a wrong word, no id, and nobody there are said with the way out', async t => {
  t.match(await call(['orphans', 'delet']), { code: 2, stderr: /did you mean peerpod orphans delete\?/ });
  t.match(await call(['orphans', 'everything']), { code: 2, stderr: /leave it out, or say one of delete/ });
  t.match(await call(['orphans', 'delete']), {
    code: 2,
    stderr: /needs the id[^]*peerpod orphans delete -help/,
  });
  t.match(await call(['orphans', 'delete', 'x', '-socket', `${dir}/none`]), {
    code: 1,
    stderr: /peerpod orphans delete x: no adaptor at .*none: ENOENT/,
  });
  t.match(await call(['orphans', '-address', '127.0.0.1:1']), { code: 1, stderr: /nothing listens there/ });
});

t.test('what was seen long ago, and why it is not newer, is told apart from nothing', async t => {
  const pages = [
    '{"provider":"x","checkedAt":null,"error":"the cloud is away","orphans":[]}',
    `{"provider":"x","checkedAt":"${new Date(Date.now() - 7_200_000).toISOString()}","error":"the cloud\\u001b[31m is away","orphans":[{"id":"i-1","addresses":[4]}]}`,
    '[]',
  ];
  const server = createServer(({ url }, response) =>
    response.end(url === '/orphans' ? pages.shift() : '{"sandboxes":[]}'),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const ask = () => call(['orphans', '-address', `127.0.0.1:${port}`]);
  t.match(await ask(), {
    code: 0,
    stdout: '',
    stderr: /has not looked .* yet\n.*failed: the cloud is away\n/,
  });
  const old = await ask();
  t.match(old, { stdout: /i-1/, stderr: /failed: the cloud.*; this is (2 hours|120 min)/ });
  t.notMatch(old.stderr, '\u001b');
  t.match(await ask(), { code: 1, stderr: /something else \(status 200\)/ });
  t.equal(parseOrphans('nonsense'), null);
  t.equal(parseOrphans('{"orphans":3}'), null);
});

t.test('running sandboxes whose shim the adaptor says is gone are listed, and no others', async t => {
  const shim = { connections: 0, openedAt: '2026-01-01T00:00:00Z', lastClosedAt: null };
  const one = { pod: 'web', namespace: 'default', state: 'running' };
  const sandboxes = [
    { ...one, id: 'left', shim: { ...shim, state: 'gone', lastClosedAt: '2026-01-02T00:00:00Z' } },
    { ...one, id: 'never-used', shim: { ...shim, state: 'gone' } },
    { ...one, id: 'quiet', shim: { ...shim, state: 'unknown' } },
    { ...one, id: 'used', shim: { ...shim, state: 'connected', connections: 1 } },
    { ...one, id: 'of-an-older-adaptor', shim },
    { ...one, id: 'closed', shim: null },
  ];
  const server = createServer(({ url }, response) =>
    response.end(
      JSON.stringify(
        url === '/orphans' ? { provider: 'x', checkedAt: shim.openedAt, orphans: [] } : { sandboxes },
      ),
    ),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const address = `127.0.0.1:${port}`;
  const { stdout } = await call(['orphans', '-json', '-address', address]);
  t.same(JSON.parse(stdout).sandboxes, [
    { id: 'left', pod: 'web', namespace: 'default', since: '2026-01-02T00:00:00.000Z' },
    { id: 'never-used', pod: 'web', namespace: 'default', since: '2026-01-01T00:00:00.000Z' },
  ]);
  const table = await call(['orphans', '-address', address]);
  t.match(table.stdout, /^SANDBOX +POD +NO SHIM FOR\nleft +default\/web +\d/);
  t.match(table.stderr, 'peerpod stop ID');
});
