// SPDX-License-Identifier: Apache-2.0
// The provider on real processes: process-user-data, the forwarder and the dev agent as built.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { agentService, healthService } from '@peerpod-tls/agent-protocol';
import { createLogger, parseFlags } from '@peerpod-tls/daemon';
import { dialLink, dialUntilHealthy } from '@peerpod-tls/link';
import type { LinkSecurity } from '@peerpod-tls/link';
import { TtrpcClient, clientOf, connectUnix } from '@peerpod-tls/ttrpc';
import { renderApf, renderCloudConfig } from '@peerpod-tls/user-data';
import t from 'tap';
import type { Test } from 'tap';

import { local } from '../../src/local/local.js';
import { processesOf } from '../../src/host/vm-processes.js';
import type { Instance, InstanceSpec, Provider } from '../../src/provider.js';
import { freePort } from '../../../../test/kit/free-port.js';
import { realUserData } from '../kit/user-data.js';

const { signal } = new AbortController();
const NAME = 'podvm-local-test';

interface World {
  readonly directory: string;
  readonly port: number;
  readonly userData: string;
  readonly security: LinkSecurity;
  /** A provider as an adaptor makes one; a second call is the adaptor after a restart. */
  provider(
    ...argv: string[]
  ): Promise<Provider & { diagnose(id: string): Promise<{ alive: boolean; console: string }> }>;
  spec(changes?: Partial<InstanceSpec>): InstanceSpec;
}

async function makeWorld(t: Test): Promise<World> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'lp-')));
  const { userData, security } = await realUserData(NAME);
  const port = await freePort();
  const log = createLogger({ name: 'test', level: 'silent' });
  t.teardown(async () => {
    // Whatever the test left, so that a failing one leaves no process either.
    const survivor = await provider();
    for (const { id } of await survivor.listInstances(signal)) await survivor.deleteInstance(id, signal);
    rmSync(directory, { recursive: true, force: true });
  });
  async function provider(...argv: string[]): ReturnType<World['provider']> {
    const parsed = parseFlags({
      program: 'test',
      usage: '',
      flags: local.flags,
      argv: ['-data-dir', join(directory, 'vms'), ...argv],
      env: {},
    });
    if (parsed.t === 'help') throw new Error('unexpected help');
    const made = await local.create(parsed.values, {
      log,
      podsDir: join(directory, 'pods'),
      forwarderPort: port,
    });
    if (!('diagnose' in made)) throw new Error('no diagnose');
    return made as Awaited<ReturnType<World['provider']>>;
  }
  return {
    directory,
    port,
    userData,
    security,
    provider,
    spec: changes => ({
      sandbox: 'sandbox1',
      name: NAME,
      podName: 'pod',
      podNamespace: 'default',
      userData,
      instanceType: '',
      image: '',
      vcpus: 0,
      memoryMiB: 0,
      gpus: 0,
      ...changes,
    }),
  };
}

function vmDirectory(world: World, instance: Instance): string {
  const vms = join(world.directory, 'vms');
  const home = readdirSync(vms).find(name => name !== 'addresses') ?? '';
  return join(vms, home, instance.id);
}

function dialOptions(world: World, instance: Instance) {
  const log = createLogger({ name: 'test', level: 'silent' });
  return {
    host: instance.addresses[0] ?? '',
    port: world.port,
    security: world.security,
    serverName: NAME,
    signal,
    log,
  };
}

t.test('a pod VM boots, serves mutual TLS, is found again after a restart, and leaves nothing', async t => {
  const world = await makeWorld(t);
  const provider = await world.provider();
  await provider.verify?.(signal);
  const instance = await provider.createInstance(world.spec(), { token: 'sandbox1.1', signal });
  t.match(instance, { name: NAME, addresses: [/^127\.\d+\.\d+\.\d+$/], token: 'sandbox1.1' });
  const directory = vmDirectory(world, instance);
  t.equal(statSync(directory).mode & 0o777, 0o700);
  t.notOk(existsSync(join(directory, 'fs/media/cidata/user-data')), 'the user-data is gone once read');
  t.equal(statSync(join(directory, 'fs/run/peerpod/apf.json')).mode & 0o777, 0o600);
  t.equal(
    (await dialUntilHealthy({ ...dialOptions(world, instance), deadlineMs: 10_000 })).attempts,
    1,
    'up means up',
  );

  const client = await connectUnix(join(directory, 'fs/run/kata-containers/agent.sock'));
  t.equal(
    (await clientOf(healthService, client).Check({})).status,
    1,
    "the agent's socket lies in the guest",
  );
  client.close();

  t.same(
    await provider.createInstance(world.spec(), { token: 'sandbox1.1', signal }),
    instance,
    'same token, same VM',
  );
  t.equal((await provider.listInstances(signal)).length, 1);
  await provider.close();

  const restarted = await world.provider();
  t.same(await restarted.listInstances(signal), [instance]);
  t.same(await restarted.createInstance(world.spec(), { token: 'sandbox1.1', signal }), instance);
  t.match(await restarted.diagnose(instance.id), {
    alive: true,
    console: /forwarder listened[\s\S]*vm: up\n/,
  });
  t.notMatch(readFileSync(join(directory, 'console.log'), 'utf8'), /PRIVATE KEY/);
  t.ok(processesOf(directory).length >= 3);

  await restarted.deleteInstance(instance.id, signal);
  t.same(processesOf(directory), []);
  t.notOk(existsSync(directory));
  t.same(readdirSync(join(world.directory, 'vms/addresses')), []);
  t.same(await restarted.listInstances(signal), []);
  await restarted.deleteInstance(instance.id, signal);
  for (const id of ['', '..', '../../etc', 'no-such-vm', '0'.repeat(12)])
    await restarted.deleteInstance(id, signal);
  t.ok(existsSync(world.directory));
});

t.test(
  "a container's processes end with the VM, even when the agent was killed and they ignore signals",
  async t => {
    const world = await makeWorld(t);
    const provider = await world.provider();
    const instance = await provider.createInstance(world.spec(), { token: 'a.1', signal });
    const directory = vmDirectory(world, instance);
    const { socket } = await dialLink(dialOptions(world, instance));
    const shim = clientOf(agentService, new TtrpcClient(socket));
    await shim.CreateSandbox({ sandboxId: 's', hostname: 'h' });
    const script =
      "trap '' TERM HUP INT; env -i /bin/sh -c \"trap '' TERM; while :; do sleep 0.2; done\" & echo up; while :; do sleep 0.2; done";
    const Process = { Args: ['/bin/sh', '-c', script], Cwd: '/', Env: [`PATH=${process.env['PATH'] ?? ''}`] };
    await shim.CreateContainer({
      containerId: 'c',
      execId: 'c',
      OCI: { Process, Linux: {}, Root: { Path: '/' } },
    });
    await shim.StartContainer({ containerId: 'c' });
    const said = await shim.ReadStdout({ containerId: 'c', execId: 'c', len: 10 });
    t.equal(Buffer.from(said.data).toString(), 'up\n');
    const agentPid = processesOf(directory).find(pid =>
      readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('peerpod-dev-agent'),
    );
    const before = containerProcesses();
    t.ok(before.length >= 2, 'the container runs');
    process.kill(agentPid ?? 0, 'SIGKILL');
    // The VM dies of it, as a machine dies with its kernel.
    while ((await provider.diagnose(instance.id)).alive)
      await new Promise(resolve => setTimeout(resolve, 20));
    t.match(await provider.diagnose(instance.id), {
      alive: false,
      console: /agent was killed by SIGKILL|was killed by SIGKILL/,
    });
    await provider.deleteInstance(instance.id, signal);
    t.same(processesOf(directory), []);
    t.same(containerProcesses(), []);

    function containerProcesses(): number[] {
      return readdirSync('/proc')
        .map(Number)
        .filter(pid => {
          try {
            return (
              pid > 1 &&
              readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('while :; do sleep 0.2; done')
            );
          } catch {
            return false;
          }
        });
    }
  },
);

t.test('a VM boots whatever its programs log, and learns nothing of the environment', async t => {
  const world = await makeWorld(t);
  process.env['AWS_SECRET_ACCESS_KEY'] = 'of-the-adaptor';
  process.env['PEERPOD_DEMO'] = 'passed-on';
  t.teardown(() => {
    delete process.env['AWS_SECRET_ACCESS_KEY'];
    delete process.env['PEERPOD_DEMO'];
  });
  for (const level of ['warn', 'error']) {
    const provider = await world.provider(`-forwarder-options=-log-level=${level}`);
    const instance = await provider.createInstance(world.spec(), { token: `${level}.1`, signal });
    const directory = vmDirectory(world, instance);
    t.notMatch(readFileSync(join(directory, 'console.log'), 'utf8'), /forwarder listened/);
    const healthy = await dialUntilHealthy({ ...dialOptions(world, instance), deadlineMs: 20_000 });
    t.equal(healthy.peer.tls?.protocol, 'TLSv1.3');
    const pids = processesOf(directory);
    t.ok(pids.length >= 3, 'leader, agent and forwarder');
    for (const pid of pids) {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      // The test runner puts itself into whatever is started.
      const names = environment.flatMap(line => /^(?!NODE_OPTIONS|_TAPJS)([^=]+)=/.exec(line)?.[1] ?? []);
      const passed = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR', 'TZ', 'PEERPOD_DEMO', 'PEERPOD_LENT_READS'];
      const own = [
        'PEERPOD_LOCAL_VM',
        'PEERPOD_READY_FD',
        'NODE_CHANNEL_FD',
        'NODE_CHANNEL_SERIALIZATION_MODE',
      ];
      t.same(
        names.filter(name => ![...passed, ...own].includes(name)),
        [],
        `process ${pid}`,
      );
      t.ok(names.includes('PEERPOD_DEMO'), 'what is meant for a VM reaches it');
    }
    await provider.deleteInstance(instance.id, signal);
  }
});

t.test('a VM that cannot boot is not left behind, and its console says why', async t => {
  const world = await makeWorld(t);
  const provider = await world.provider();
  const noAnchor = renderApf({ podNetwork: {}, podNamespace: 'd', podName: 'p' });
  const userData = renderCloudConfig([{ path: '/run/peerpod/apf.json', content: noAnchor }]);
  await t.rejects(provider.createInstance(world.spec({ userData }), { token: 'b.1', signal }), {
    code: 'ERR_PROVIDER_CREATE',
    message: /was not made: forwarder exited with code 1; .*no server certificate/,
    hint: /forwarder: .*no server certificate[\s\S]*exited with code 1/,
  });
  await t.rejects(
    provider.createInstance(world.spec({ userData: 'no user-data' }), { token: 'b.2', signal }),
    {
      code: 'ERR_PROVIDER_CREATE',
      hint: /process-user-data: [\s\S]*process-user-data exited with code 1/,
    },
  );
  const soon = AbortSignal.timeout(100);
  await t.rejects(provider.createInstance(world.spec(), { token: 'b.3', signal: soon }), {
    code: /^ERR_PROVIDER_/,
  });
  const hasty = await world.provider('-boot-timeout', '50ms');
  await t.rejects(hasty.createInstance(world.spec(), { token: 'b.4', signal }), { message: /-boot-timeout/ });
  t.same(await provider.listInstances(signal), []);
  t.same(processesOf(join(world.directory, 'vms')), []);
  t.same(readdirSync(join(world.directory, 'vms/addresses')), []);
});

t.test(
  'two pod VMs share the port on addresses of their own; what a crash left half made is made anew',
  async t => {
    const world = await makeWorld(t);
    const provider = await world.provider();
    const [one, two] = await Promise.all(
      ['x.1', 'y.1'].map(token => provider.createInstance(world.spec({ sandbox: token }), { token, signal })),
    );
    if (one === undefined || two === undefined) throw new Error('unreachable');
    t.not(one.addresses[0], two.addresses[0]);
    for (const instance of [one, two]) {
      const { socket } = await dialLink(dialOptions(world, instance));
      t.equal((await clientOf(healthService, new TtrpcClient(socket)).Check({})).status, 1);
      socket.destroy();
    }
    // As if the adaptor had been killed before it wrote down what it started.
    const directory = vmDirectory(world, one);
    rmSync(join(directory, 'vm.json'));
    t.same((await provider.listInstances(signal)).find(instance => instance.id === one.id)?.addresses, []);
    const old = processesOf(directory);
    const again = await provider.createInstance(world.spec({ sandbox: 'x.1' }), { token: 'x.1', signal });
    t.equal(again.id, one.id);
    t.same(
      processesOf(directory).filter(pid => old.includes(pid)),
      [],
    );
  },
);

t.test('a configuration that cannot work is refused at the start', async t => {
  const world = await makeWorld(t);
  await t.rejects(world.provider('-data-dir', join(world.directory, 'pods/vms')), {
    code: 'ERR_PROVIDER_CONFIG',
    message: /-data-dir/,
  });
  await t.rejects(world.provider('-local-programs-dir', world.directory), {
    code: 'ERR_PROVIDER_CONFIG',
    message: /peerpod-local-vm/,
    hint: /-local-programs-dir/,
  });
});

const ordinary = process.getuid?.() !== 0 && 'this whole file runs without root';

t.test('it works without root', { skip: ordinary }, async t => {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'lu-')));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const world = await makeWorld(t);
  execFileSync('chown', ['65534', directory]);
  // A process of another user makes, reaches and deletes a VM, and prints what it found.
  const script = new URL('../support/local-as-other-user.ts', import.meta.url).pathname;
  const loader = new URL('../../../../scripts/typescript/register.mjs', import.meta.url).href;
  const child = spawn(
    'env',
    ['-u', 'NODE_OPTIONS', process.execPath, `--import=${loader}`, script, directory, String(world.port)],
    {
      uid: 65534,
      gid: 65534,
      env: { PATH: process.env['PATH'], HOME: directory, TMPDIR: directory, XDG_RUNTIME_DIR: directory },
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  );
  child.stdin.end(world.userData);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (complaint += chunk));
  const [code] = await once(child, 'close');
  t.equal(code, 0, code === 0 ? 'ended well' : complaint);
  t.match(JSON.parse(said), {
    uid: 65534,
    agent: 1,
    left: [],
    listed: 0,
    dataDir: join(directory, 'peerpod-local'),
  });
});
