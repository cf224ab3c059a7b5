// SPDX-License-Identifier: Apache-2.0
// The local provider without free space for its pod VMs, on a disk that is full for real where this process may mount one.
import { mkdirSync, readdirSync, statfsSync } from 'node:fs';
import path from 'node:path';
import { parseFlags } from '@peerpod-tls/daemon';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { isId } from '../../src/host/vm-directory.js';
import { processesOf } from '../../src/host/vm-processes.js';
import { isFull, noFreeSpace, freeSpaceAt, usedUp } from '../../src/host/free-space.js';
import { local } from '../../src/local/local.js';
import type { Provider } from '../../src/provider.js';
import { temporary } from '../../../../test/kit/log.js';
import { freePort } from '../../../../test/kit/free-port.js';
import { realUserData } from '../kit/user-data.js';
import { noSmallDisk, smallDisk, type SmallDisk } from '../kit/small-disk.js';

const { signal } = new AbortController();
const NAME = 'podvm-full';
const { userData } = await realUserData(NAME);

const failure = (code: string, cause?: unknown): Error =>
  Object.assign(new Error(code, cause === undefined ? undefined : { cause }), { code });

t.test('what was used up is told by the system error, however deep it lies', async t => {
  t.equal(usedUp(failure('ENOSPC')), 'disk');
  t.equal(usedUp(failure('ERR_FILE_DISK_FULL', failure('ENOSPC'))), 'disk');
  t.equal(usedUp(failure('ERR_FILE_DISK_FULL', failure('EDQUOT'))), 'quota');
  t.equal(usedUp(failure('EACCES')), null);
  t.equal(usedUp('ENOSPC'), null);
  const round = failure('EIO');
  round.cause = round;
  t.equal(usedUp(round), null, 'a cause that is its own ends, too');
});

t.test('the figures are those of the file system, and a quota has none', async t => {
  const space = { freeBytes: 3 * 4096, totalBytes: 1.5 * 1024 ** 3, freeFiles: 7 };
  t.equal(
    noFreeSpace('/d', 'disk', space),
    'there is no free space in /d (12 KiB of 1.5 GiB free, -data-dir)',
  );
  t.match(noFreeSpace('/d', 'disk', { ...space, freeBytes: 0 }), /\(0 bytes of 1\.5 GiB free, -data-dir\)/);
  t.match(
    noFreeSpace('/d', 'disk', { ...space, freeFiles: 0 }),
    /12 KiB of 1\.5 GiB free, but no further file,/,
  );
  t.match(noFreeSpace('/d', 'quota', space), /\(the disk quota of user \d+ is used up, -data-dir\)/);
  t.match(noFreeSpace('/d', 'disk', null), /^there is no free space in \/d \(-data-dir\)$/);
  t.notOk(isFull(space));
  t.ok(isFull({ ...space, freeBytes: 4095 }));
  t.ok(isFull({ ...space, freeFiles: 0 }));
  t.notOk(isFull({ ...space, freeFiles: null }), 'a file system that counts no files');
  t.notOk(isFull(null));
  const here = await freeSpaceAt(path.join(temporary(t), 'not/yet/there'));
  t.ok(
    here !== null && here.totalBytes > here.freeBytes,
    'a directory that is yet to be made lies in one that is',
  );
});

const skip = noSmallDisk();

interface World {
  readonly disk: SmallDisk;
  readonly data: string;
  readonly provider: Provider;
  /** Makes the VM; rejects with what the provider throws. */
  make(attempt: number): Promise<string>;
  leftovers(): string[];
}

async function worldOn(t: Test, options: string): Promise<World> {
  const directory = temporary(t);
  const data = path.join(directory, 'vms');
  mkdirSync(data, { mode: 0o700 });
  const disk = smallDisk(t, data, options);
  const argv = ['-data-dir', data];
  const parsed = parseFlags({ program: 'test', usage: '', flags: local.flags, argv, env: {} });
  if (parsed.t === 'help') throw new Error('unexpected help');
  const log = pino({ level: 'silent' });
  const podsDir = path.join(directory, 'pods');
  const provider = await local.create(parsed.values, { log, podsDir, forwarderPort: await freePort() });
  t.teardown(async () => {
    for (const { id } of await provider.listInstances(signal)) await provider.deleteInstance(id, signal);
  });
  const sizes = { instanceType: '', image: '', vcpus: 0, memoryMiB: 0, gpus: 0 };
  const spec = { sandbox: 's', name: NAME, podName: 'p', podNamespace: 'n', userData, ...sizes };
  return {
    disk,
    data,
    provider,
    make: async attempt => (await provider.createInstance(spec, { token: `s.${attempt}`, signal })).id,
    leftovers: () => [
      ...readdirSync(data, { recursive: true, encoding: 'utf8' }).filter(
        name => isId(path.basename(name)) || name.startsWith('addresses/'),
      ),
      ...processesOf(data).map(String),
    ],
  };
}

t.test('a full disk is named with its free space and the flag, and nothing stays', { skip }, async t => {
  const world = await worldOn(t, 'size=256k');
  const before = await world.make(9);
  world.disk.fill();
  const full = {
    code: 'ERR_PROVIDER_DISK_FULL',
    message: `there is no free space in ${world.data} (0 bytes of 256 KiB free, -data-dir)`,
    hint: /^free some space there, or give a -data-dir on another file system/,
  };
  await t.rejects(world.make(0), full);
  await world.provider.deleteInstance(before, signal);
  t.same(world.leftovers(), [], 'one that runs can be deleted without free space');
  world.disk.free();
  await t.resolves(
    world.provider.verify?.(signal) ?? Promise.reject(new Error('there is nothing to verify')),
  );
  const id = await world.make(0);
  await world.provider.deleteInstance(id, signal);
  t.same(world.leftovers(), [], 'with free space again the same request is served');
});

t.test('wherever the space ends while a pod VM is made, the disk is what is blamed', { skip }, async t => {
  const world = await worldOn(t, 'size=256k');
  const { bsize } = statfsSync(world.data);
  const causes = new Set<string>();
  // Every second place: from the fourth block on each attempt is a boot.
  for (let blocks = 0; ; blocks += 2) {
    world.disk.fill(blocks * bsize);
    const outcome = await world.make(blocks + 1).catch((error: unknown) => error);
    if (typeof outcome === 'string') {
      t.ok(blocks > 3, `${blocks} blocks are enough for one`);
      await world.provider.deleteInstance(outcome, signal);
      break;
    }
    t.match(outcome, { code: 'ERR_PROVIDER_DISK_FULL', message: /KiB free, .*-data-dir\)|0 bytes of/ });
    t.same(world.leftovers(), [], `nothing stays with space for ${blocks} blocks`);
    causes.add(/-data-dir\), and /.test(String(outcome)) ? 'the guest' : 'the provider');
  }
  t.same([...causes].sort(), ['the guest', 'the provider'], 'both met the end of the disk');
});

t.test('free space without a file to put there is a full disk, too', { skip }, async t => {
  const world = await worldOn(t, 'size=256k,nr_inodes=8');
  const message =
    /there is no free space in \S+ \(2\d\d(\.\d)? KiB of 256 KiB free, but no further file, -data-dir\)/;
  await t.rejects(world.make(0), { code: 'ERR_PROVIDER_DISK_FULL', message });
  t.same(world.leftovers(), []);
  const tiny = await worldOn(t, 'size=256k,nr_inodes=1');
  await t.rejects(tiny.provider.verify?.(signal) ?? Promise.resolve(), {
    code: 'ERR_PROVIDER_DISK_FULL',
    message,
  });
});
