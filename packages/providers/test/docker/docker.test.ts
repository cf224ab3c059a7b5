// SPDX-License-Identifier: Apache-2.0
// The docker provider on a real engine: what a container of ours may do, who reads its user-data, which image it is made
// of, and what the operator reads when the engine says no. The adaptor's whole path over it stands at the end.
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { hypervisorService } from '@peerpod-tls/agent-protocol';
import { clientOf, connectUnix } from '@peerpod-tls/ttrpc';
import { field, numberIn, textIn } from '../../src/docker/field.js';
import { orReason, ran } from '../../../../test/kit/docker-engine.js';
import { captureLog, temporary } from '../../../../test/kit/log.js';
import { annotations, dialAgent } from '../../../../test/kit/shim.js';
import { DockerWorld, userDataIn, specOf } from '../kit/docker-world.js';
import { realUserData } from '../kit/user-data.js';
import { Program } from '../../../adaptor/test/kit/program.js';

t.setTimeout(300_000);
const world = await orReason(() => DockerWorld.start());
const never = new AbortController().signal;

if (typeof world === 'string') t.plan(0, world);
else {
  t.teardown(() => world.close());
  const { log } = captureLog();
  const guest = await realUserData('podvm-docker');
  const ask = (name: string) => ({ token: `${name}.1`, signal: never });

  await t.test(
    'a container has no privilege, bounded processes, and the name and labels of its sandbox',
    async t => {
      const provider = await world.provider(log);
      const spec = specOf('plain', guest.userData, { vcpus: 64, memoryMiB: 96 });
      const made = await provider.createInstance(spec, ask('plain'));
      const answer = await world.inspect(made.id);
      const host = field(answer, 'HostConfig');
      t.equal(field(host, 'Privileged'), false);
      t.same(field(host, 'CapDrop'), ['ALL']);
      t.same(field(host, 'SecurityOpt'), ['no-new-privileges']);
      t.ok((numberIn(host, 'PidsLimit') ?? 0) > 0);
      t.equal(numberIn(host, 'Memory'), 96 << 20);
      t.ok((numberIn(host, 'NanoCpus') ?? 0) > 0, 'no more processors than the engine has are asked for');
      t.equal(textIn(answer, 'Name'), '/podvm-plain');
      t.match(field(answer, 'Config', 'Labels'), {
        'peerpod.sandbox': 'sandbox-plain',
        'peerpod.token': 'plain.1',
      });
      t.notMatch(JSON.stringify(answer), guest.secret, 'the engine keeps no piece of the user-data');
      const caps = await world.engine.docker('exec', made.id, 'grep', 'CapEff', '/proc/1/status');
      t.match(caps.stdout, /CapEff:\s+0{16}/);
      await provider.deleteInstance(made.id, never);
      t.same(await world.leftovers(), []);
    },
  );

  await t.test(
    'mounted user-data is read-only, for root alone, and gone from the host once the container runs',
    async t => {
      const provider = await world.provider(log);
      const made = await provider.createInstance(specOf('mount', guest.userData), ask('mount'));
      t.same(userDataIn(world.seeds), [], 'no file on the host');
      t.equal(statSync(world.seeds).mode & 0o077, 0);
      const inside = (...args: string[]) => world.engine.docker('exec', made.id, ...args);
      t.match((await inside('stat', '-c', '%a %u', '/media/cidata/user-data')).stdout, /^600 0/);
      t.match(
        (await inside('sh', '-c', 'echo x >> /media/cidata/user-data')).stderr,
        /Read-only file system/,
      );
      await provider.deleteInstance(made.id, never);
    },
  );

  await t.test('copied user-data is gone once it has been read, and its files are in memory', async t => {
    const provider = await world.provider(log, ['-docker-user-data=copy']);
    const made = await provider.createInstance(specOf('copy', guest.userData), ask('copy'));
    const script =
      'while [ ! -e /run/kata-agent/agent.sock ]; do sleep 0.05; done; ls /media/cidata; grep " /run/peerpod " /proc/mounts';
    const seen = await world.engine.docker('exec', made.id, 'sh', '-c', script);
    t.match(
      seen.stdout,
      /^tmpfs \/run\/peerpod tmpfs/,
      'nothing in the seed directory, a tmpfs for what it said',
    );
    await provider.deleteInstance(made.id, never);
  });

  await t.test('the image of one pod is not the image of the next', async t => {
    await world.engine.docker('tag', 'peerpod-pod-vm', 'peerpod-test-other:1');
    const provider = await world.provider(log);
    const other = await provider.createInstance(
      specOf('other', guest.userData, { image: 'peerpod-test-other:1' }),
      ask('other'),
    );
    const usual = await provider.createInstance(specOf('usual', guest.userData), ask('usual'));
    t.equal(textIn(await world.inspect(other.id), 'Config', 'Image'), 'peerpod-test-other:1');
    t.equal(textIn(await world.inspect(usual.id), 'Config', 'Image'), 'peerpod-pod-vm');
    for (const { id } of [other, usual]) await provider.deleteInstance(id, never);
  });

  await t.test('a name that is taken is no obstacle, and the other container is left alone', async t => {
    await world.engine.docker('create', '--name', 'podvm-taken', 'peerpod-pod-vm');
    const provider = await world.provider(log);
    const made = await provider.createInstance(specOf('taken', guest.userData), ask('taken'));
    t.match(textIn(await world.inspect(made.id), 'Name'), /^\/podvm-taken-[0-9a-f]{8}$/);
    t.equal(made.name, 'podvm-taken');
    const foreign = textIn(await world.inspect('podvm-taken'), 'Id');
    await provider.deleteInstance(foreign, never);
    t.same(await world.leftovers().then(all => all.filter(name => name === 'podvm-taken')), ['podvm-taken']);
    await provider.deleteInstance(made.id, never);
    await world.engine.docker('rm', 'podvm-taken');
  });

  await t.test('a container that a crash left unstarted is made anew, one that runs is taken', async t => {
    const provider = await world.provider(log);
    const first = await provider.createInstance(specOf('crash', guest.userData), ask('crash'));
    await world.engine.docker('stop', '-t', '1', first.id);
    const second = await provider.createInstance(specOf('crash', guest.userData), ask('crash'));
    t.not(second.id, first.id);
    t.same(
      (await provider.listInstances(never)).map(({ id }) => id),
      [second.id],
    );
    await provider.deleteInstance(second.id, never);
  });

  await t.test('user-data that a killed adaptor left on the host is swept at the next list', async t => {
    const provider = await world.provider(log);
    const made = await provider.createInstance(specOf('sweep', guest.userData), ask('sweep'));
    const owner = textIn(await world.inspect(made.id), 'Config', 'Labels', 'peerpod.adaptor');
    await provider.deleteInstance(made.id, never);
    writeFileSync(path.join(world.seeds, owner, 'old.user-data'), 'secret', { mode: 0o600 });
    await provider.listInstances(never);
    t.same(userDataIn(world.seeds), []);
  });

  await t.test('the guest that does not boot is known to be dead, with its last words', async t => {
    const provider = await world.provider(log);
    const garbage = '#cloud-config\nwrite_files: [';
    const made = await provider
      .createInstance(specOf('dead', garbage), ask('dead'))
      .catch((error: unknown) => error);
    // It may die before the provider looks at it, or after.
    const words =
      made instanceof Error
        ? `${made.message}\n${textIn(made, 'hint')}`
        : await lastLines(() => provider.diagnose?.(textIn(made, 'id'), never));
    t.match(words, /no usable user-data/);
    t.match(words, /exit code 1/);
    for (const { id } of await provider.listInstances(never)) await provider.deleteInstance(id, never);
    t.same(await provider.diagnose?.('0123456789abcdef', never), { alive: false, console: '' });
  });

  await t.test('an image, a network or a program that is not there is named, with the way out', async t => {
    for (const { flags, says } of [
      {
        flags: ['-podvm-docker-image=nobody/has:this'],
        says: { message: /no image nobody\/has:this/, hint: /docker pull nobody\/has:this/ },
      },
      {
        flags: ['-docker-network-name=no-such-net'],
        says: { message: /no network no-such-net/, hint: /docker network create no-such-net/ },
      },
    ]) {
      const provider = await world.provider(log, flags);
      await t.rejects(provider.verify?.(never) ?? Promise.resolve(), {
        code: 'ERR_PROVIDER_UNAVAILABLE',
        ...says,
      });
      const creation = provider.createInstance(specOf('missing', guest.userData), ask('missing'));
      await t.rejects(creation, { code: 'ERR_PROVIDER_UNAVAILABLE', ...says });
      t.same(await world.leftovers(), []);
    }
    const old = await world.provider(log, ['-docker-api-version=9.99']);
    await t.rejects(old.createInstance(specOf('api', guest.userData), ask('api')), {
      message: /9\.99/,
    });
  });

  await t.test('on a full disk no container is made, and nothing of the user-data stays', async t => {
    const disk = path.join(world.engine.directory, 'full');
    mkdirSync(disk, { mode: 0o700 });
    const mounted = await ran('mount', ['-t', 'tmpfs', '-o', 'size=16k,mode=0700', 'tmpfs', disk]);
    if (mounted.code !== 0) {
      t.plan(0, `no small file system can be mounted here: ${mounted.stderr.trim()}`);
      return;
    }
    try {
      const provider = await world.provider(log, [`-data-dir=${disk}/seeds`]);
      const long = `${guest.userData}#${'x'.repeat(32_768)}\n`;
      await t.rejects(provider.createInstance(specOf('full', long), ask('full')), {
        code: 'ERR_PROVIDER_DISK_FULL',
        message: /there is no free space in/,
        hint: /-docker-user-data=copy/,
      });
      t.same([...(await world.leftovers()), ...userDataIn(disk)], []);
    } finally {
      await ran('umount', [disk]);
    }
  });

  await t.test('a whole pod: CreateVM to StopVM over mutual TLS into a container', async t => {
    const directory = temporary(t);
    const own = [`-socket=${directory}/h.sock`, `-pods-dir=${directory}/pods`, '-status-address=127.0.0.1:0'];
    const engine = [`-docker-host=${world.engine.host}`, `-docker-network-name=${world.network}`];
    const flags = ['docker', ...own, ...engine, `-data-dir=${world.seeds}`, '-cloud-config-verify'];
    const adaptor = new Program(flags);
    t.teardown(() => adaptor.kill('SIGKILL'));
    await adaptor.next('adaptor started');
    const client = await connectUnix(`${directory}/h.sock`);
    const hypervisor = clientOf(hypervisorService, client);
    const { agentSocketPath } = await hypervisor.CreateVM({
      id: 'whole-pod',
      annotations: annotations('whole'),
    });
    await hypervisor.StartVM({ id: 'whole-pod' });
    const shim = await dialAgent(agentSocketPath);
    t.match(await shim.health.Check({}), { status: 1 });
    shim.client.close();
    const { protocol, names } = await adaptor.next('link verified');
    t.equal(protocol, 'TLSv1.3');
    t.same(names, ['podvm-whole-whole-po']);
    await hypervisor.StopVM({ id: 'whole-pod' });
    client.close();
    t.same(await world.leftovers(), []);
    t.equal((await adaptor.kill('SIGTERM')).code, 0);
    t.notMatch(adaptor.output, /PRIVATE KEY/);
  });
}

/** Asks until the instance is dead. */
async function lastLines(
  diagnose: () => Promise<{ readonly alive: boolean; readonly console: string }> | undefined,
): Promise<string> {
  for (;;) {
    const found = await diagnose();
    if (found === undefined) return '';
    if (!found.alive) return found.console;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}
