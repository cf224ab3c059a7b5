// SPDX-License-Identifier: Apache-2.0
// Time-outs of providers fire in a process that collects its garbage meanwhile, as every process that lives for a while
// does. On Node 20 those that are made by combining signals do not.
import { writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { temporary } from '../../../test/kit/log.js';
import { exec } from '../src/exec/exec.js';
import { local } from '../src/local/local.js';
import type { Provider } from '../src/provider.js';
import { qemu } from '../src/qemu/qemu.js';
import { makeProvider } from './kit/make-provider.js';

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

const spec = {
  sandbox: 's',
  name: 'podvm-late',
  podName: 'p',
  podNamespace: 'n',
  userData: '#cloud-config\n',
  instanceType: '',
  image: '',
  vcpus: 0,
  memoryMiB: 0,
  gpus: 0,
};

/** Where a provider finds programs that never come to anything. */
function placeFor(t: { teardown(after: () => void): unknown }) {
  const directory = temporary(t);
  const script = (name: string, body: string): string => {
    const path = join(directory, name);
    writeFileSync(path, body, { mode: 0o755 });
    return path;
  };
  const hang = script('hang', '#!/bin/sh\nexec sleep 60\n');
  return { directory, podsDir: join(directory, 'pods'), dataDir: join(directory, 'data'), script, hang };
}

const makers: Readonly<Record<string, (place: ReturnType<typeof placeFor>) => Promise<Provider>>> = {
  'local: -boot-timeout': place => {
    const programs = join(place.directory, 'programs');
    mkdirSync(programs);
    for (const name of [
      'peerpod-local-vm',
      'process-user-data',
      'agent-protocol-forwarder',
      'peerpod-dev-agent',
    ])
      writeFileSync(join(programs, `${name}.cjs`), 'setInterval(() => {}, 1000);\n');
    const argv = ['-data-dir', place.dataDir, '-local-programs-dir', programs, '-boot-timeout=1s'];
    return makeProvider(local, argv, { ...place, port: 15_163 });
  },
  'qemu: -boot-timeout': place => {
    const image = place.script('disk.img', 'x'.repeat(1 << 20));
    const argv = ['-qemu-image', image, '-qemu-program', place.hang, '-qemu-accel=tcg', '-boot-timeout=1s'];
    return makeProvider(qemu, [...argv, '-data-dir', place.dataDir], { ...place, port: 15_164 });
  },
  'exec: -exec-timeout': place => {
    const gone = place.script('delete', '#!/bin/sh\nexit 0\n');
    const argv = ['-create-command', place.hang, '-delete-command', gone, '-exec-timeout=1s'];
    return makeProvider(exec, [...argv, '-data-dir', place.dataDir], place);
  },
};

for (const [name, make] of Object.entries(makers)) {
  t.test(`${name} ends a creation although garbage was collected since it began`, async t => {
    const provider = await make(placeFor(t));
    const collecting = setInterval(() => {
      if (typeof collect === 'function') collect();
    }, 50);
    t.teardown(() => clearInterval(collecting));
    const began = performance.now();
    const caller = new AbortController();
    const late = setTimeout(() => caller.abort(), 20_000);
    await t.rejects(provider.createInstance(spec, { token: 'late.1', signal: caller.signal }), {
      code: 'ERR_PROVIDER_CREATE',
      message: /within 1 s/,
    });
    clearTimeout(late);
    t.ok(performance.now() - began < 15_000, 'long before the caller gives up');
    t.same(await provider.listInstances(caller.signal), []);
    await provider.close();
  });
}
t.type(collect, 'function', 'there is a way to collect garbage');
