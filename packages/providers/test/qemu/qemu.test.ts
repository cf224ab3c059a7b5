// SPDX-License-Identifier: Apache-2.0
// The parts of the qemu provider that need no qemu: its command line, its seed disk, its image, its refusals. Virtual
// machines are in the vm suite.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger, parseFlags } from '@peerpod-tls/daemon';
import t from 'tap';
import { qemu } from '../../src/qemu/qemu.js';
import { macOf, parseNetwork, qemuArguments, type QemuPlan } from '../../src/qemu/command.js';
import { findImage } from '../../src/qemu/image.js';
import { Accelerator, kvmTrouble } from '../../src/qemu/accelerator.js';
import { addressIn } from '../../src/qemu/launch.js';
import { seedDisk } from '../../src/qemu/seed.js';

const { signal } = new AbortController();

const plan: QemuPlan = {
  name: 'podvm-a',
  acceleration: 'tcg',
  cpus: 2,
  memoryMiB: 512,
  image: '/images/a,b.img',
  imageFormat: 'raw',
  kernel: { path: '/k', initrd: '/i', arguments: 'root=/dev/vda x,y' },
  seed: '/vm/seed.iso',
  monitor: '/vm/monitor.sock',
  network: { t: 'user', open: false },
  address: '127.64.0.1',
  port: 15_150,
};

t.test('a network is one of four, and anything else is refused by its flag', async t => {
  t.same(parseNetwork('user'), { t: 'user', open: false });
  t.same(parseNetwork('user-open'), { t: 'user', open: true });
  t.same(parseNetwork('tap:tap0'), { t: 'tap', name: 'tap0' });
  t.same(parseNetwork('bridge:br-pods'), { t: 'bridge', name: 'br-pods' });
  for (const text of [
    '',
    'user:',
    'tap',
    'tap:',
    'tap:a,script=/x',
    'bridge:a:b',
    'bridge:0123456789abcdef',
    'nat',
  ]) {
    t.throws(() => parseNetwork(text), { code: 'ERR_PROVIDER_CONFIG', message: /-qemu-network/ }, text);
  }
});

t.test('no path and no name can add an option to qemu', async t => {
  const argv = qemuArguments(plan, 'id');
  t.ok(argv.includes('user,id=net,restrict=on,hostfwd=tcp:127.64.0.1:15150-:15150'), 'only the way in');
  t.ok(argv.some(word => word.startsWith('file=/images/a,,b.img,if=none,id=root,format=raw,snapshot=on')));
  t.equal(argv[argv.indexOf('-append') + 1], 'root=/dev/vda x,y', 'one word, whatever is in it');
  t.match(argv[argv.indexOf('-sandbox') + 1], /elevateprivileges=deny,spawn=deny/);
  t.notOk(qemuArguments({ ...plan, kernel: null }, 'id').includes('-kernel'));
  t.match(
    qemuArguments({ ...plan, network: { t: 'bridge', name: 'br0' } }, 'id').join(' '),
    /-netdev bridge,id=net,br=br0 .*mac=52:54:00:/,
  );
  t.match(qemuArguments({ ...plan, acceleration: 'kvm' }, 'id').join(' '), /-accel kvm -cpu host/);
  t.equal(macOf('a'), macOf('a'));
  t.not(macOf('a'), macOf('b'));
});

/** Reads a disk as ECMA-119 says, without what wrote it. */
function readDisk(disk: Buffer): { label: string; files: Record<string, string> } {
  const descriptor = disk.subarray(16 * 2048, 17 * 2048);
  if (descriptor.toString('latin1', 1, 6) !== 'CD001') throw new Error('no volume');
  const root = descriptor.subarray(156, 190);
  const start = root.readUInt32LE(2) * 2048;
  const end = start + root.readUInt32LE(10);
  const files: Record<string, string> = {};
  for (let at = start; at < end && (disk[at] ?? 0) !== 0; at += disk[at] ?? 0) {
    const name = disk.toString('latin1', at + 33, at + 33 + (disk[at + 32] ?? 0));
    if (name.length === 1) continue;
    const from = disk.readUInt32BE(at + 6) * 2048;
    files[name] = disk.toString('utf8', from, from + disk.readUInt32BE(at + 14));
  }
  return { label: descriptor.toString('latin1', 40, 72).trim(), files };
}

t.test('the seed disk holds what was put in, for all sizes around a sector', async t => {
  for (const size of [0, 1, 2047, 2048, 2049, 100_000, 1 << 20]) {
    const content = 'é'.repeat(Math.floor(size / 2)) + 'x'.repeat(size % 2);
    const disk = seedDisk([
      { name: 'user-data', content },
      { name: 'meta-data', content: 'local-hostname: a\n' },
      { name: 'vendor-data', content: '' },
    ]);
    t.same(readDisk(disk), {
      label: 'cidata',
      files: { 'META-DATA.;1': 'local-hostname: a\n', 'USER-DATA.;1': content, 'VENDOR-DATA.;1': '' },
    });
    t.equal(disk.length % 2048, 0);
  }
});

t.test('an image brings its kernel along, and what is no image is named by its flag', async t => {
  const directory = t.testdir({
    'disk.img': Buffer.alloc(1 << 20),
    'disk.qcow2': Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.alloc(1 << 20)]),
    'small.img': 'x',
    vmlinuz: 'k',
    'initrd.img': 'i',
    'manifest.json': '{"kernelArguments":"root=/dev/vda ours"}',
    alone: { 'disk.img': Buffer.alloc(1 << 20), 'manifest.json': 'no json' },
  });
  const at = (name: string): string => join(directory, name);
  t.same(await findImage(at('disk.img'), undefined, undefined), {
    path: at('disk.img'),
    format: 'raw',
    kernel: { path: at('vmlinuz'), initrd: at('initrd.img'), arguments: 'root=/dev/vda ours' },
  });
  t.match(await findImage(at('disk.qcow2'), undefined, undefined), { format: 'qcow2' });
  t.match(await findImage(at('alone/disk.img'), undefined, undefined), { kernel: null });
  t.match(await findImage(at('alone/disk.img'), at('vmlinuz'), undefined), {
    kernel: { initrd: at('initrd.img'), arguments: /console=ttyS0/ },
  });
  const config = (message: RegExp) => ({ code: 'ERR_PROVIDER_CONFIG', message });
  await t.rejects(findImage(undefined, undefined, undefined), config(/-qemu-image/));
  await t.rejects(findImage(at('nowhere'), undefined, undefined), config(/-qemu-image.*ENOENT/));
  await t.rejects(findImage(directory, undefined, undefined), config(/-qemu-image.*not a file/));
  await t.rejects(findImage(at('small.img'), undefined, undefined), config(/1 bytes: that is no disk/));
  await t.rejects(findImage(at('disk.img'), at('nowhere'), undefined), config(/-qemu-kernel/));
  await t.rejects(findImage(at('alone/disk.img'), undefined, at('initrd.img')), config(/-qemu-initrd/));
});

t.test('an address is found by its hardware address, once it is complete', async t => {
  const table = `IP address       HW type     Flags       HW address            Mask     Device
10.0.0.7         0x1         0x0         52:54:00:aa:bb:cc     *        br0
10.0.0.8         0x1         0x2         52:54:00:AA:BB:CC     *        br0
`;
  t.equal(addressIn(table, '52:54:00:aa:bb:cc'), '10.0.0.8');
  t.equal(addressIn(table, '52:54:00:00:00:00'), null);
  t.equal(addressIn('', '52:54:00:00:00:00'), null);
});

t.test('a qemu that is missing or ends at once leaves nothing behind', async t => {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'pq-')));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const image = join(directory, 'disk.img');
  writeFileSync(image, Buffer.alloc(1 << 20));
  mkdirSync(join(directory, 'pods'));
  const make = async (program: string) => {
    const argv = ['-qemu-image', image, '-data-dir', join(directory, 'vms'), '-qemu-program', program];
    const parsed = parseFlags({
      program: 'test',
      usage: '',
      flags: qemu.flags,
      argv: [...argv, '-qemu-accel', 'tcg'],
      env: {},
    });
    if (parsed.t === 'help') throw new Error('unexpected help');
    const log = createLogger({ name: 'test', level: 'silent' });
    const provider = await qemu.create(parsed.values, {
      log,
      podsDir: join(directory, 'pods'),
      forwarderPort: 15_150,
    });
    t.teardown(() => provider.close());
    return provider;
  };
  const spec = {
    sandbox: 's',
    name: 'podvm-s',
    podName: 'p',
    podNamespace: 'n',
    userData: '#cloud-config\n',
    instanceType: '',
    image: '',
    vcpus: 0,
    memoryMiB: 0,
    gpus: 0,
  };
  const missing = await make(join(directory, 'no-qemu'));
  await t.rejects(missing.verify?.(signal) ?? Promise.resolve(), { code: 'ERR_PROVIDER_UNAVAILABLE' });
  await t.rejects(missing.createInstance(spec, { token: 'a.1', signal }), {
    code: 'ERR_PROVIDER_UNAVAILABLE',
    message: /no-qemu could not be started/,
    hint: /apt-get install qemu/,
  });
  const ends = await make('/bin/false');
  await t.rejects(ends.createInstance(spec, { token: 'a.2', signal }), {
    // A program that was gone before anybody looked counts as one that could not be started.
    code: /^ERR_PROVIDER_(?:CREATE|UNAVAILABLE)$/,
    message: /qemu ended at its start|could not be started/,
  });
  await t.rejects(ends.createInstance({ ...spec, image: '/etc/shadow' }, { token: 'a.3', signal }), {
    code: 'ERR_PROVIDER_CONFIG',
    message: /"\/etc\/shadow"/,
  });
  t.same(await ends.listInstances(signal), []);
  const home = readdirSync(join(directory, 'vms')).find(name => name !== 'addresses') ?? '';
  const id = ends.idOf?.('a.4') ?? '';
  mkdirSync(join(directory, 'vms', home, id));
  // The adaptor was killed before it wrote down for whom it made the directory: the token leads to it all the same.
  t.same(await ends.listInstances(signal), [{ id, name: id, addresses: [] }]);
  await ends.deleteInstance(id, signal);
  t.same(await ends.listInstances(signal), []);
  t.same(await ends.diagnose?.('../../..', signal), { alive: false, console: '' });
  for (const id of ['', '..', '0'.repeat(12)]) await ends.deleteInstance(id, signal);
  t.ok(existsSync(image));
  t.match(await kvmTrouble(join(directory, 'no-qemu'), signal), /ENOENT/);
  t.type(await kvmTrouble('/bin/true', signal), 'string', 'a guest that did not run is no KVM');
});

t.test('whoever gives up while KVM is tried leaves the answer to the others', async t => {
  const directory = t.testdir({ qemu: '#!/bin/sh\necho >>"$0.runs"; sleep 0.3; exit 33\n' });
  const program = join(directory, 'qemu');
  chmodSync(program, 0o755);
  const accelerator = new Accelerator('auto', program, createLogger({ name: 'test', level: 'silent' }));
  const impatient = new AbortController();
  const first = accelerator.choose(impatient.signal);
  const second = accelerator.choose(signal);
  impatient.abort(new Error('given up'));
  await t.rejects(first, { message: 'given up' });
  t.equal(await second, 'kvm');
  t.equal(await accelerator.choose(signal), 'kvm');
  t.equal(readFileSync(`${program}.runs`, 'utf8'), '\n', 'tried once');
  await t.rejects(accelerator.choose(AbortSignal.abort(new Error('late'))), { message: 'late' });

  const closed = new Accelerator('auto', program, createLogger({ name: 'test', level: 'silent' }));
  const waiting = closed.choose(signal);
  closed.close();
  await t.rejects(waiting, { code: 'ERR_PROVIDER_ABORTED' });
});
