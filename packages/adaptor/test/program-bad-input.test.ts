// SPDX-License-Identifier: Apache-2.0
// cloud-api-adaptor as a program on platforms that give it what it cannot use: what the shim reads, that nothing of the
// attempt stays, and that the same adaptor starts the next pod.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import t, { type Test } from 'tap';
import { hypervisorService } from '@peerpod-tls/agent-protocol';
import { StatusCode, clientOf, connectUnix, type TypedClient } from '@peerpod-tls/ttrpc';
import { annotations, status, temporary } from './kit/adaptor.js';
import { CREATE, DELETE, makeExecWorld } from '../../providers/test/kit/exec-world.js';
import { ownProcesses } from '../../../test/kit/directory.js';
import { freePort } from '../../../test/kit/free-port.js';
import { localFlags, Program, run } from './kit/program.js';

const INITDATA = 'io.katacontainers.config.hypervisor.cc_init_data';

interface Running {
  readonly program: Program;
  readonly hypervisor: TypedClient<typeof hypervisorService>;
  /** CreateVM and StartVM. */
  start(id: string, more?: Record<string, string>): Promise<unknown>;
}

async function started(t: Test, directory: string, argv: readonly string[]): Promise<Running> {
  const program = new Program(argv);
  ownProcesses(t, directory);
  t.teardown(() => program.kill('SIGKILL'));
  await program.next('adaptor started');
  const hypervisor = clientOf(hypervisorService, await connectUnix(path.join(directory, 'h.sock')));
  const start = async (id: string, more: Record<string, string> = {}): Promise<unknown> => {
    await hypervisor.CreateVM({ id, annotations: annotations('web', 'd', more), networkNamespacePath: '' });
    return hypervisor.StartVM({ id });
  };
  return { program, hypervisor, start };
}

/** Flags of every provider's adaptor below one directory. */
const own = (directory: string): string[] => [
  `-socket=${path.join(directory, 'h.sock')}`,
  `-pods-dir=${path.join(directory, 'pods')}`,
  '-status-address=127.0.0.1:0',
  '-drain-timeout=5s',
];

t.test(
  'exec: rubbish, no address, user-data too large; each is told, and what was made is deleted',
  async t => {
    const world = makeExecWorld(t);
    const create = world.script(
      'create',
      `case $(cat kind) in
rubbish) ${CREATE.trim()}
echo created i-1;;
homeless) ${CREATE.trim()}
printf '{"id":"i-%s","ips":[]}' "$token";;
*) ${CREATE.trim()}
printf '{"id":"i-%s","ips":["127.0.0.1"]}' "$token";;
esac`,
    );
    const kind = (text: string): void => writeFileSync(path.join(world.directory, 'kind'), text);
    const { start, program, hypervisor } = await started(t, world.directory, [
      'exec',
      `-create-command=${create}`,
      `-delete-command=${world.script('delete', DELETE)}`,
      `-data-dir=${path.join(world.directory, 'table')}`,
      '-user-data-limit=16384',
      '-proxy-timeout=1s',
      `-forwarder-port=${await freePort()}`,
      ...own(world.directory),
    ]);
    kind('rubbish');
    await t.rejects(start('rubbish'), status(StatusCode.unknown, /did not print one JSON object/));
    kind('homeless');
    await t.rejects(start('homeless'), status(StatusCode.unknown, /ips has no address/));
    t.same(world.machines(), []);

    kind('deaf');
    const noise = Array.from({ length: 900 }, () => crypto.randomUUID()).join('');
    const large = `algorithm = "sha256"\nversion = "0.1.0"\n[data]\n"aa.toml" = "${noise}"\n`;
    await t.rejects(
      start('large', { [INITDATA]: large }),
      status(
        StatusCode.invalidArgument,
        /has \d{5} bytes, the provider takes 16384: \/run\/peerpod\/initdata \d{5} bytes, \/run\/peerpod\/apf\.json/,
      ),
    );
    t.same(world.machines(), [], 'no command was called for it');
    t.equal(program.lines().filter(line => line.msg === 'instance created').length, 0);

    // An address where nobody listens: this one is made, dialled in vain, and deleted.
    await t.rejects(start('deaf'), { message: /nobody listens on 127\.0\.0\.1:\d+/ });
    t.match(
      program.lines().find(line => line.msg === 'instance created'),
      { sandbox: 'deaf' },
    );
    t.same(world.machines(), []);
    for (const id of ['rubbish', 'homeless', 'large', 'deaf']) await hypervisor.StopVM({ id });
    t.notMatch(program.output, new RegExp(`PRIVATE KEY|${noise.slice(0, 36)}`));
  },
);

t.test(
  'docker: an engine that is not running is told to the shim, and asked again for the next pod',
  async t => {
    const directory = temporary(t);
    const socket = path.join(directory, 'd.sock');
    const { start, hypervisor } = await started(t, directory, [
      'docker',
      `-docker-host=unix://${socket}`,
      `-data-dir=${path.join(directory, 'user-data')}`,
      '-docker-user-data=copy',
      ...own(directory),
    ]);
    await t.rejects(
      start('absent'),
      status(StatusCode.unavailable, /no Docker Engine at unix:.*does not exist/),
    );
    // What an engine that was killed leaves behind: a socket that nobody listens on.
    const listen = `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync('env', ['-u', 'NODE_OPTIONS', process.execPath, '-e', listen]);
    t.same(readdirSync(directory).includes('d.sock'), true);
    await t.rejects(start('killed'), status(StatusCode.unavailable, /is not running/));
    rmSync(socket);
    const engine = createServer(one => one.end('HTTP/1.1 503 Going down\r\nContent-Length: 0\r\n\r\n'));
    await new Promise<void>(resolve => engine.listen(socket, resolve));
    t.teardown(() => engine.close());
    await t.rejects(start('ill'), status(StatusCode.unavailable, /503/));
    // The engine was asked whether it could before it was asked to: there is nothing to delete.
    await t.resolves(hypervisor.StopVM({ id: 'ill' }));
  },
);

t.test(
  'checked at start: an engine or an image that is not there ends the program with the flag',
  async t => {
    const directory = temporary(t);
    for (const { argv, says } of [
      {
        argv: ['docker', `-docker-host=unix://${directory}/none.sock`, '-cloud-config-verify'],
        says: /no Docker Engine at[^]*(?:systemctl start docker|-docker-host)/,
      },
      { argv: ['qemu', `-qemu-image=${directory}/none.img`], says: /-qemu-image[^\n]*ENOENT/ },
      {
        argv: ['exec', `-create-command=${directory}/none.sh`, '-delete-command=true'],
        says: /-create-command/,
      },
    ]) {
      const { code, stderr } = await run([...argv, ...own(directory), `-data-dir=${directory}/data`]);
      t.equal(code, 1, argv.join(' '));
      t.match(stderr, says);
      t.notMatch(stderr, /\n {4}at /, 'no stack');
      t.notOk(readdirSync(directory).includes('h.sock'), 'no socket was opened');
    }
  },
);

t.test('local: a machine disk that is full fails one pod; with room the next one starts', async t => {
  const directory = temporary(t);
  const disk = path.join(directory, 'vms');
  mkdirSync(disk, { mode: 0o700 });
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=700', 'tmpfs', disk]).status !== 0) {
    t.plan(0, 'this process may not mount a tmpfs');
    return;
  }
  t.teardown(() => spawnSync('umount', ['-l', disk]));
  const { start, hypervisor } = await started(t, directory, [
    ...localFlags(directory),
    `-forwarder-port=${await freePort()}`,
  ]);
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(path.join(disk, 'filler'), Buffer.alloc(bavail * bsize));
  await t.rejects(
    start('full'),
    status(StatusCode.resourceExhausted, /there is no free space in \S+\/vms \(.*-data-dir\)/),
  );
  t.same(
    readdirSync(disk, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(({ name }) => name),
    ['filler'],
    'nothing half-made stays',
  );
  rmSync(path.join(disk, 'filler'));
  await hypervisor.StartVM({ id: 'full' });
  await hypervisor.StopVM({ id: 'full' });
});
