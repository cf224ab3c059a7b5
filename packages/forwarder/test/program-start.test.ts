// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { selfSignedClient } from '@peerpod-tls/certs';
import { agentService, healthService } from '@peerpod-tls/agent-protocol';
import { TtrpcClient, clientOf } from '@peerpod-tls/ttrpc';
import t from 'tap';

import { withOddDate } from '../../trust/test/kit/certificates.js';
import { Program } from './support/program.js';
import { check, clientSecurity, dial, makeWorld, startAgent } from './support/world.js';

t.test('version and help go to stdout with exit code 0', async t => {
  const version = new Program(t, ['-version']);
  t.match(await version.exited, { code: 0 });
  t.match(version.stdout, /^agent-protocol-forwarder version \S+\n {2}commit: .*\n {2}node: .*\n$/);
  const help = new Program(t, ['-help']);
  t.match(await help.exited, { code: 0 });
  for (const flag of [
    '-config',
    '-listen',
    '-kata-agent-socket',
    '-pod-namespace',
    '-ca-cert-file',
    '-disable-tls',
  ]) {
    t.match(help.stdout, flag);
  }
});

t.test('a wrong start ends with code 1 and two lines: what is wrong, and the way out', async t => {
  const world = await makeWorld(t);
  const half = world.file('tls.crt', world.server.certPem);
  const taken = createServer().listen(0, '127.0.0.1');
  t.teardown(() => taken.close());
  await once(taken, 'listening');
  const address = taken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const unanchored = join(world.directory, 'unanchored.json');
  const pair = { 'tls-server-cert': world.server.certPem, 'tls-server-key': world.server.keyPem };
  writeFileSync(unanchored, JSON.stringify(pair));
  const rows = [
    [['-config', join(world.directory, 'none')], /failed to open the configuration file .*none is not there/],
    [['-cert-file', half], /-cert-file is given without -cert-key\n.*-cert-key/],
    [['-config', unanchored], /no client anchor.*every client would be served\n.*-ca-cert-file/],
    [
      ['-listen', `127.0.0.1:${port}`],
      new RegExp(`-listen: .*127.0.0.1:${port}.*another program.*\\n.*-listen HOST:PORT`),
    ],
  ] as const;
  const runs = rows.map(async ([flags, words]) => {
    const program = new Program(t, [...world.argv, ...flags]);
    t.match(await program.exited, { code: 1 }, flags.join(' '));
    t.match(program.stderr, words, flags.join(' '));
    t.notMatch(program.stderr, /\n\s+at |PRIVATE KEY/, 'no stack, no key');
  });
  await Promise.all(runs);
});

t.test('it says what it does not know, who may read the key, and that plain text is served', async t => {
  const world = await makeWorld(t);
  world.configure({
    'from-the-future': true,
    'sandbox-id': 'sb-1',
    'pod-network': { 'tunnel-type': 'vxlan' },
  });
  chmodSync(world.configFile, 0o644);
  const careful = new Program(t, world.argv);
  await careful.port();
  t.match(await careful.said('unknown configuration keys ignored'), {
    level: 'warn',
    keys: ['from-the-future'],
  });
  t.match(await careful.said('forwarder listened'), { sandbox: 'sb-1', pod: 'default/pod' });
  t.match(await careful.said('private key readable by others'), { level: 'warn', mode: '0644' });
  t.match(await careful.said('pod network of the configuration not set up'), { level: 'warn' });
  t.notMatch(careful.stderr, /PRIVATE KEY|BEGIN CERT/);
  const plain = new Program(t, [...world.argv, '-disable-tls']);
  const port = await plain.port();
  t.match(await plain.said('forwarder listened'), { sandbox: 'sb-1', pod: 'default/pod' });
  t.match(await plain.said('plain text served to anybody who can reach the port (-disable-tls)'), {
    level: 'warn',
    ignored: ['tls-server-cert', 'tls-server-key', 'tls-client-ca'],
  });
  await startAgent(t, world);
  await check(world, port, { t: 'plain' });
});

t.test('-allow-any-client serves a client without a certificate, and says so', async t => {
  const world = await makeWorld(t);
  world.configure({ 'tls-client-ca': undefined });
  await startAgent(t, world);
  const program = new Program(t, [...world.argv, '-allow-any-client']);
  await check(world, await program.port(), clientSecurity(world, await selfSignedClient()));
  t.match(await program.said('any client served without a certificate (-allow-any-client)'), {
    level: 'warn',
  });
});

t.test(
  'new material is taken for new links, on SIGHUP or when its file changes, and bad material never is',
  async t => {
    const world = await makeWorld(t);
    await startAgent(t, world);
    const program = new Program(t, [...world.argv, '-status-address', '127.0.0.1:0']);
    const port = await program.port();
    const status = String((await program.said('status listened'))['address']);
    const ask = async (path: string): Promise<string> => {
      const answer = await fetch(`http://${status}${path}`);
      return `${answer.status} ${await answer.text()}`;
    };
    const open = await dial(world, port);
    const shim = clientOf(healthService, new TtrpcClient(open.socket));
    await shim.Check({});
    t.match(await ask('/readyz'), /^200 /);

    const rows: readonly (readonly [() => void, RegExp])[] = [
      [() => writeFileSync(world.configFile, '{"tls-server-cert": '), /failed to decode/],
      [() => world.configure({ 'tls-server-cert': withOddDate(world.server.certPem) }), /tls-server-cert/],
    ];
    for (const [n, [spoil, reason]] of rows.entries()) {
      spoil();
      const line = await program.nth('certificates not reloaded, the old ones stay in force', n);
      t.match(line, { level: 'error', reason, currentDays: 729 });
      t.notMatch(line['reason'], /Invalid time value/);
      t.match(await ask('/readyz'), new RegExp(`^503 .*certificates in force stay.*${reason.source}`, 's'));
      t.match(await ask('/metrics'), /^peerpod_forwarder_certificate_last_reload_successful 0$/m);
      await check(world, port);
    }

    const successor = await selfSignedClient();
    world.configure({ 'tls-client-ca': successor.certPem });
    program.child.kill('SIGHUP');
    await program.said('service reloaded');
    await check(world, port, clientSecurity(world, successor));
    await t.rejects(check(world, port), { code: /^ERR_LINK_/ }, 'the old client is refused on a new link');
    t.same((await shim.Check({})).status, 1, 'its open link is left alone');
    t.match(await ask('/readyz'), /^200 /);
    t.match(await ask('/metrics'), /^peerpod_forwarder_certificate_last_reload_successful 1$/m);
  },
);

t.test('SIGTERM refuses new calls, lets open ones end, and leaves with 0', async t => {
  const world = await makeWorld(t);
  const agent = await startAgent(t, world);
  const program = new Program(t, [...world.argv, '-drain-timeout', '10s']);
  const port = await program.port();
  const { socket } = await dial(world, port);
  const client = new TtrpcClient(socket);
  // A call that may wait for ever does not hold the drain.
  const waiting = clientOf(agentService, client).WaitProcess({ containerId: 'c' });
  waiting.catch(() => {});
  while (agent.waiting() === 0) await clientOf(healthService, client).Check({});
  program.child.kill('SIGTERM');
  t.match(await program.exited, { code: 0 });
  await t.rejects(waiting, { code: /ERR_TTRPC/ });
  t.match(await program.said('link closed'), { why: 'drained' });
});

t.test('the status endpoint tells ready from alive, and counts', async t => {
  const world = await makeWorld(t);
  const program = new Program(t, [...world.argv, '-status-address', '127.0.0.1:0']);
  const port = await program.port();
  const { address } = await program.said('status listened');
  const get = async (path: string): Promise<{ status: number; text: string }> => {
    const response = await fetch(`http://${String(address)}${path}`);
    return { status: response.status, text: await response.text() };
  };
  t.match(await get('/startup'), { status: 200 });
  t.match(await get('/healthz'), { status: 200 });
  t.match(await get('/readyz'), { status: 503, text: /kata-agent on .*takes no connection/ });
  await startAgent(t, world);
  await program.said('agent connected');
  t.match(await get('/readyz'), { status: 200 });
  await check(world, port);
  const { text } = await get('/metrics');
  t.match(text, /peerpod_forwarder_links_total 1\n/);
  t.match(text, /peerpod_forwarder_lent_reads [01]\n/);
  t.match(text, /peerpod_forwarder_calls_total\{code="0"\} 1\n/);
  t.match(text, /peerpod_forwarder_certificate_expiry_seconds \d{7,}\n/);
});

const noDatagrams =
  spawnSync('python3', ['-c', 'import socket; socket.AF_UNIX']).status !== 0 ||
  spawnSync('systemd-notify', ['--version']).error !== undefined
    ? 'needs python3, to receive a datagram, and systemd-notify, to send one'
    : false;

t.test('systemd is told when it listens and when it stops', { skip: noDatagrams }, async t => {
  const world = await makeWorld(t);
  const socket = join(world.directory, 'notify');
  const receiver = `import socket,sys
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind(sys.argv[1]); print("bound",flush=True)
while True: print(s.recv(4096).decode().strip(),flush=True)`;
  const listener = spawn('python3', ['-c', receiver, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => listener.kill('SIGKILL'));
  let heard = '';
  const until = async (word: string): Promise<void> => {
    while (!heard.includes(word)) heard += String((await once(listener.stdout, 'data'))[0]);
  };
  await until('bound');
  const program = new Program(t, world.argv, { NOTIFY_SOCKET: socket });
  await until('READY=1');
  await program.said('forwarder listened');
  program.child.kill('SIGTERM');
  await until('STOPPING=1');
  t.match(await program.exited, { code: 0 });
});
