// SPDX-License-Identifier: Apache-2.0
// The proxies of a real adaptor as a person sees and ends them, with the adaptor and without.
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { sweep } from '../../src/demo/sweep.js';
import { launchAdaptor } from '../support/adaptor.js';
import { call } from '../support/in-process.js';
import { peerpod, shortDirectory } from '../support/program.js';

t.test(
  'a proxy outlives its adaptor, is listed with its pods, and ends with them only when told so',
  async t => {
    const dir = shortDirectory(t);
    t.teardown(() => sweep(dir, { keep: false }));
    const { child } = await launchAdaptor(dir);
    const socket = `${dir}/hypervisor.sock`;
    const started = await peerpod(t, [
      'run',
      '-detach',
      '-json',
      '-socket',
      socket,
      '-name',
      'web',
      '--',
      'sleep',
      '60',
    ]);
    t.equal(started.code, 0, started.stderr);
    const pod: unknown = JSON.parse(started.stdout);
    const { id, socket: agent } = pod as { id: string; socket: string };
    const shim = connect(agent);
    t.teardown(() => shim.destroy());
    await once(shim, 'connect');
    const ended = once(child, 'close');
    child.kill('SIGKILL');
    await ended;

    const place = ['-state-dir', `${dir}/pods/.state`];
    const listed = await call(['proxy', 'list', ...place]);
    t.match(listed, { code: 0, stderr: '' });
    t.match(
      listed.stdout,
      new RegExp(
        `^GENERATION +PID +STATE +SANDBOX +POD +SHIMS +FOR\\n\\S+ +\\d+ +serving +${id} +default/web +1 `,
        'u',
      ),
    );
    const json = await call(['proxy', 'list', '-json', ...place]);
    const [proxy] = (
      JSON.parse(json.stdout) as { proxies: { generation: string; control: string; pid: number }[] }
    ).proxies;
    t.match(proxy, {
      retired: false,
      socket,
      pendingStops: [],
      sandboxes: [{ id, connections: 1 }],
      error: '',
    });

    const refused = await call(['proxy', 'stop', ...place]);
    t.equal(refused.code, 1);
    t.match(refused.stderr, /1 pod would end with it\n +-now ends it and these pods\n +\S+ +default\/web\n/);
    t.equal(shim.destroyed, false, 'the connection of the shim is as before');
    const other = await call(['proxy', 'stop', 'no-such', ...place]);
    t.match(other, { code: 1, stderr: /no proxy has the generation "no-such"\n +there are / });

    const gone = once(shim.resume(), 'close');
    const stopped = await call(['proxy', 'stop', '-now', '-json', proxy?.generation ?? '', ...place]);
    t.equal(stopped.code, 0, stopped.stderr);
    t.match(JSON.parse(stopped.stdout), { proxies: [{ stopping: true, sandboxes: [{ id }], error: '' }] });
    await gone;
    // The shim's one StopVM comes now, and the proxy is still there to keep it.
    const stop = await peerpod(t, ['stop', '-socket', socket, id]);
    t.equal(stop.code, 0, stop.stderr);
    while (existsSync(`/proc/${proxy?.pid}`)) await sleep(20);
    const silent = await call(['proxy', 'list', ...place]);
    t.match(silent.stdout, / silent/);
    t.match(silent.stderr, /does not answer/);
    // The next adaptor carries it out.
    await launchAdaptor(dir);
    for (;;) {
      const { stdout } = await call(['proxy', 'list', '-json', ...place]);
      const { proxies } = JSON.parse(stdout) as {
        proxies: { sandboxes: unknown[] | null; pendingStops: unknown[] }[];
      };
      if (proxies.every(one => one.pendingStops.length === 0 && one.sandboxes?.length === 0)) break;
      await sleep(50);
    }
    while (existsSync(agent)) await sleep(20);
  },
);

t.test('where no proxy is, that is said', async t => {
  const dir = shortDirectory(t);
  const missing = await call(['proxy', 'list', '-state-dir', dir]);
  t.match(missing, {
    code: 1,
    stderr: /cannot look for proxies in .*ENOENT[\s\S]*give the -state-dir of the adaptor/,
  });
  mkdirSync(`${dir}/proxy`);
  t.match(await call(['proxy', 'list', '-state-dir', dir]), { code: 0, stderr: /no proxy runs here/ });
  t.match(await call(['proxy', 'stop', '-state-dir', dir]), { code: 0, stderr: /no proxy runs here/ });
  t.match(await call(['proxy', 'list', '-proxy-socket', `${dir}/control.sock`]), {
    code: 0,
    stderr: /control\.sock does not answer: cannot connect/,
  });
});
