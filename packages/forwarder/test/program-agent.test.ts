// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { agentService, grpc, healthService } from '@peerpod-tls/agent-protocol';
import { dialUntilHealthy } from '@peerpod-tls/link';
import { TtrpcClient, clientOf } from '@peerpod-tls/ttrpc';
import t from 'tap';

import { eventually } from '../../../test/kit/log.js';
import { Program } from './support/program.js';
import { SERVER_NAME, check, clientSecurity, dial, makeWorld, silent, startAgent } from './support/world.js';

t.test('a call travels to the agent rewritten, and nothing else in it changes', async t => {
  const world = await makeWorld(t);
  const agent = await startAgent(t, world);
  const guest = join(world.directory, 'guest');
  mkdirSync(guest);
  const program = new Program(t, [...world.argv, '-guest-root', guest, '-pod-namespace', '/run/netns/podns']);
  const { socket, peer } = await dial(world, await program.port());
  t.match(peer.tls, { protocol: 'TLSv1.3', names: [SERVER_NAME] });
  const client = new TtrpcClient(socket);
  const shim = clientOf(agentService, client);
  await shim.CreateContainer({
    containerId: 'c1',
    OCI: {
      Hostname: 'h',
      Mounts: [{ type: 'bind', source: '/run/data', destination: '/d' }],
      Linux: { CgroupsPath: '/cg' },
    },
  });
  t.match(agent.containers, [
    {
      containerId: 'c1',
      OCI: {
        Hostname: 'h',
        Linux: { CgroupsPath: '/cg', Namespaces: [{ Type: 'network', Path: '/run/netns/podns' }] },
      },
    },
  ]);
  t.ok(existsSync(join(guest, 'run/data')));
  await t.rejects(shim.CreateContainer({ containerId: 'c2' }), { status: 3, message: /no OCI/ });
  await t.rejects(client.call('grpc.AgentService', 'NotYetInvented', new Uint8Array(0)), {
    code: 'ERR_TTRPC_STATUS',
    message: /NotYetInvented/,
  });
  t.equal((await clientOf(healthService, client).Check({})).status, 1, 'the link lives on');
  t.match(await program.said('link opened'), { tls: { subject: /cloud-api-adaptor/ } });
});

t.test('a mount that is awaited holds up its own call alone', async t => {
  const world = await makeWorld(t);
  const agent = await startAgent(t, world);
  const program = new Program(t, [...world.argv, '-guest-root', join(world.directory, 'guest')]);
  const { socket } = await dial(world, await program.port());
  const client = new TtrpcClient(socket);
  const OCI = {
    Linux: {},
    Mounts: [{ type: 'bind', source: '/vol', destination: '/v' }],
    Annotations: { 'io.confidentialcontainers.org.peerpodvolumes.target_path': '/vol' },
  };
  const waiting = clientOf(agentService, client).CreateContainer(
    { containerId: 'c', OCI },
    { timeoutMs: 400 },
  );
  const early = await Promise.race([
    waiting.catch(() => 'answered'),
    clientOf(healthService, client).Check({}),
  ]);
  t.match(early, { status: 1 }, 'a later call is answered meanwhile');
  await t.rejects(waiting, { message: /not answered within|nothing was mounted/ });
  t.same(agent.containers, []);
});

t.test('several links at once share the one agent connection, which is there before any link', async t => {
  const world = await makeWorld(t);
  const agent = await startAgent(t, world);
  const program = new Program(t, [...world.argv, '-max-links', '3']);
  const port = await program.port();
  await program.said('agent connected');
  // The forwarder may know of it before the agent has accepted it.
  t.ok(await eventually(() => agent.connections() === 1), 'connected before any link');
  const links = await Promise.all([1, 2, 3].map(() => dial(world, port)));
  const clients = links.map(link => clientOf(healthService, new TtrpcClient(link.socket)));
  await Promise.all(clients.map(client => client.Check({})));
  t.equal(agent.connections(), 1);
  await t.rejects(check(world, port), { code: /^ERR_LINK_/ }, 'a fourth is turned away');
  t.match(await program.said('connection refused'), { rule: 'too-many-peers' });
  links[0]?.close();
  await program.said('link closed');
  await check(world, port);
  t.equal(agent.connections(), 1);
});

t.test(
  'an agent that removes its socket, as kata-agent does, is still reached by every link; a forwarder started anew says that it is lost to it',
  async t => {
    const world = await makeWorld(t);
    const agent = await startAgent(t, world);
    const program = new Program(t, world.argv);
    const port = await program.port();
    await program.said('agent connected');
    rmSync(world.agentSocket);
    const first = await dial(world, port);
    const waiting = clientOf(agentService, new TtrpcClient(first.socket)).WaitProcess({ containerId: 'c' });
    waiting.catch(() => {});
    while (agent.waiting() === 0) await check(world, port);
    first.socket.destroy();
    await program.said('link closed', line => line['remote'] === first.peer.local);
    const second = await dial(world, port);
    const shim = new TtrpcClient(second.socket);
    clientOf(agentService, shim)
      .WaitProcess({ containerId: 'c' })
      .catch(() => {});
    t.match(await clientOf(healthService, shim).Check({}), { status: 1 }, 'calls go on after a cut');
    t.equal(agent.waiting(), 1, 'the wait that was on its way was taken over');
    await check(world, port);
    t.equal(agent.connections(), 1);

    program.child.kill('SIGKILL');
    await program.exited;
    const next = new Program(t, [...world.argv, '-agent-timeout', '300ms']);
    t.match(await next.said('agent out of reach'), {
      level: 'error',
      reason: /its socket has been removed.*delete the pod/,
    });
    const late = await dial(world, await next.port());
    await t.rejects(clientOf(healthService, new TtrpcClient(late.socket)).Check({}), {
      status: 14,
      message: /its socket has been removed/,
    });
  },
);

t.test('an agent that is not there yet is waited for', async t => {
  const world = await makeWorld(t);
  const program = new Program(t, world.argv);
  const port = await program.port();
  const { signal } = new AbortController();
  const dialling = dialUntilHealthy({
    host: '127.0.0.1',
    port,
    security: clientSecurity(world),
    serverName: SERVER_NAME,
    signal,
    deadlineMs: 20_000,
    log: silent,
  });
  await program.said('agent awaited');
  await startAgent(t, world);
  t.equal((await dialling).attempts, 1, 'the first link waited it out');
  await program.said('agent connected');
});

t.test('an agent that never comes is named to the caller, and the link ends', async t => {
  const world = await makeWorld(t);
  const program = new Program(t, [...world.argv, '-agent-timeout', '300ms']);
  const { socket } = await dial(world, await program.port());
  const calling = clientOf(healthService, new TtrpcClient(socket)).Check({});
  await t.rejects(calling, {
    status: 14,
    message: new RegExp(`kata-agent did not accept a connection on ${world.agentSocket}`),
  });
  t.match(await program.said('link closed'), { why: 'upstream-lost', reason: /did not accept a connection/ });
  t.equal(program.child.exitCode, null, 'the forwarder stays');
});

t.test(
  'an agent that goes away mid-call is named to the caller, then a new link finds the next agent',
  async t => {
    const world = await makeWorld(t);
    const agent = await startAgent(t, world);
    const program = new Program(t, world.argv);
    const port = await program.port();
    const { socket } = await dial(world, port);
    const client = new TtrpcClient(socket);
    const waiting = clientOf(agentService, client).WaitProcess({ containerId: 'c' });
    waiting.catch(() => {});
    while (agent.waiting() === 0) await clientOf(healthService, client).Check({});
    await agent.die();
    await t.rejects(waiting, { status: 14, message: new RegExp(`kata-agent on ${world.agentSocket}`) });
    await client.closed;
    t.match(await program.said('link closed'), { level: 'warn', why: 'upstream-lost' });
    await startAgent(t, world);
    await check(world, port);
  },
);

t.test('an agent that never answers costs its caller the deadline and nobody else anything', async t => {
  const world = await makeWorld(t);
  await startAgent(t, world);
  const program = new Program(t, world.argv);
  const { socket } = await dial(world, await program.port());
  const client = new TtrpcClient(socket);
  const waiting = clientOf(agentService, client).WaitProcess({ containerId: 'c' }, { timeoutMs: 100 });
  await t.rejects(waiting, { code: 'ERR_TTRPC_STATUS', message: /not answered within 100 ms/ });
  t.equal(
    (await clientOf(healthService, client).Check({})).status,
    grpc.HealthCheckResponse.ServingStatus.SERVING,
  );
});
