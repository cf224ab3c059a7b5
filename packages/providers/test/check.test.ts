// SPDX-License-Identifier: Apache-2.0
// Whether a pod could start, as each provider of this machine tells it while the adaptor runs: everything it needs is
// taken away in turn. An engine that is away is in docker-without-engine.test.ts.
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { temporary } from '../../../test/kit/log.js';
import { exec } from '../src/exec/exec.js';
import { ownerName } from '../src/host/data-dir.js';
import { findPrograms } from '../src/local/programs.js';
import { local } from '../src/local/local.js';
import type { Provider } from '../src/provider.js';
import { qemu } from '../src/qemu/qemu.js';
import { makeProvider } from './kit/make-provider.js';
import { noSmallDisk, smallDisk } from './kit/small-disk.js';

const { signal } = new AbortController();
const skip = noSmallDisk();

const spec = {
  sandbox: 's',
  name: 'podvm-full',
  podName: 'p',
  podNamespace: 'n',
  userData: '#cloud-config\n',
  instanceType: '',
  image: '',
  vcpus: 0,
  memoryMiB: 0,
  gpus: 0,
};

interface Place {
  readonly directory: string;
  readonly podsDir: string;
  readonly dataDir: string;
  /** An executable that lists nothing, and does nothing. */
  program(name: string): string;
}

function placeFor(t: { teardown(after: () => void): unknown }): Place {
  const directory = temporary(t);
  return {
    directory,
    podsDir: join(directory, 'pods'),
    dataDir: join(directory, 'data'),
    program: name => {
      const path = join(directory, name);
      writeFileSync(path, `#!/bin/sh\necho '{"instances":[]}'\n`, { mode: 0o755 });
      return path;
    },
  };
}

/** One provider of each kind that keeps its files on this machine, with all it needs. */
const makers: Readonly<Record<string, (place: Place, dataDir?: string) => Promise<Provider>>> = {
  local: (place, dataDir = place.dataDir) => makeProvider(local, ['-data-dir', dataDir], place),
  exec: (place, dataDir = place.dataDir) =>
    makeProvider(
      exec,
      [
        `-create-command=${place.program('create.sh')}`,
        `-delete-command=${place.program('delete.sh')}`,
        `-list-command=${place.program('list.sh')}`,
        `-data-dir=${dataDir}`,
      ],
      place,
    ),
  qemu: (place, dataDir = place.dataDir) => {
    for (const name of ['disk.img', 'vmlinuz', 'initrd.img'])
      writeFileSync(join(place.directory, name), Buffer.alloc(1 << 20));
    const argv = [`-qemu-image=${place.directory}/disk.img`, `-qemu-program=${place.program('qemu')}`];
    return makeProvider(qemu, [...argv, '-qemu-accel=tcg', `-data-dir=${dataDir}`], place);
  },
};

for (const [name, make] of Object.entries(makers)) {
  t.test(`${name}: a data directory that cannot be used is the reason, until it can`, async t => {
    const place = placeFor(t);
    const provider = await make(place);
    await t.resolves(provider.check(signal), 'a directory that is not there yet is made');
    const home = join(place.dataDir, ownerName(place.podsDir));
    rmSync(home, { recursive: true });
    writeFileSync(home, '');
    await t.rejects(provider.check(signal), {
      code: 'ERR_PROVIDER_UNAVAILABLE',
      message: `-data-dir ${place.dataDir} cannot be used: ${home} is not a directory`,
      hint: /./,
    });
    await t.rejects(provider.createInstance(spec, { token: 'barred.1', signal }), {
      code: 'ERR_PROVIDER_UNAVAILABLE',
      message: /-data-dir \S+ cannot be used: /,
      instance: undefined,
    });
    rmSync(home);
    await t.resolves(provider.check(signal));
  });

  t.test(`${name}: below /proc, where no directory can be made, it says so at once`, async t => {
    const provider = await make(placeFor(t), '/proc/peerpod/data');
    await t.rejects(provider.check(signal), {
      code: 'ERR_PROVIDER_UNAVAILABLE',
      message: /^-data-dir \/proc\/peerpod\/data cannot be used: /,
    });
  });

  t.test(`${name}: a full disk is the reason, with where and how much is free`, { skip }, async t => {
    const place = placeFor(t);
    const at = join(place.directory, 'disk');
    mkdirSync(at);
    const disk = smallDisk(t, at, 'size=256k');
    const provider = await make(place, join(at, 'data'));
    await t.resolves(provider.check(signal));
    disk.fill();
    const full = {
      code: 'ERR_PROVIDER_DISK_FULL',
      message: /there is no free space in \S+\/disk\/data \(0 bytes of 256 KiB free, -data-dir\)/,
      hint: /^free some space there, or give a -data-dir on another file system/,
    };
    await t.rejects(provider.check(signal), full);
    await t.rejects(provider.createInstance(spec, { token: 'full.1', signal }), full);
    t.same(await provider.listInstances(signal), [], 'nothing is left');
    disk.free();
    await t.resolves(provider.check(signal));
  });
}

t.test('exec: a script that is gone, or may not be executed any more, is named with its flag', async t => {
  const place = placeFor(t);
  const provider = await makers['exec']?.(place);
  rmSync(join(place.directory, 'delete.sh'));
  const gone = { code: 'ERR_PROVIDER_UNAVAILABLE', message: /\/delete\.sh \(-delete-command\) is gone/ };
  await t.rejects(provider?.check(signal) ?? Promise.resolve(), gone);
  place.program('delete.sh');
  await t.resolves(provider?.check(signal) ?? Promise.reject(new Error('no provider')));
  chmodSync(join(place.directory, 'list.sh'), 0o644);
  await t.rejects(provider?.check(signal) ?? Promise.resolve(), { message: /\(-list-command\)/ });
});

t.test('qemu: a program or an image that is gone is named with its flag', async t => {
  const place = placeFor(t);
  const provider = await makers['qemu']?.(place);
  const check = () => provider?.check(signal) ?? Promise.resolve();
  for (const [file, message] of [
    ['qemu', /there is no program .*\/qemu \(-qemu-program\)/],
    ['disk.img', /disk\.img, a file of the base image, cannot be read: ENOENT/],
    ['vmlinuz', /vmlinuz, a file of the base image/],
    ['initrd.img', /initrd\.img, a file of the base image/],
  ] as const) {
    const path = join(place.directory, file);
    renameSync(path, `${path}.away`);
    await t.rejects(check(), { code: 'ERR_PROVIDER_UNAVAILABLE', message, hint: /./ });
    renameSync(`${path}.away`, path);
    await t.resolves(check());
  }
});

t.test('local: a program of the pod VM that is gone is named', async t => {
  const place = placeFor(t);
  const programs = join(place.directory, 'programs');
  mkdirSync(programs);
  for (const path of [
    'peerpod-local-vm',
    'process-user-data',
    'agent-protocol-forwarder',
    'peerpod-dev-agent',
  ])
    writeFileSync(join(programs, `${path}.cjs`), '');
  t.equal(findPrograms(programs).agent, join(programs, 'peerpod-dev-agent.cjs'));
  const argv = ['-data-dir', place.dataDir, '-local-programs-dir', programs];
  const provider = await makeProvider(local, argv, place);
  await t.resolves(provider.check(signal));
  rmSync(join(programs, 'peerpod-dev-agent.cjs'));
  await t.rejects(provider.check(signal), {
    code: 'ERR_PROVIDER_UNAVAILABLE',
    message: /peerpod-dev-agent\.cjs, a program of a pod VM, is gone/,
    hint: /-local-programs-dir/,
  });
});
