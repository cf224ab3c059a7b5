// SPDX-License-Identifier: Apache-2.0
// Images of the other kinds: certificates of their own, no TLS, cloud-init as the reader; and boots that must fail and
// say why. One short life of a virtual machine each.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { processesOf } from '../../src/host/vm-processes.js';
import { manualSet, flagsOf } from '../../../trust/test/kit/certificates.js';
import {
  consoleOf,
  dialAsStranger,
  makeProvider,
  openSandbox,
  runIn,
  startAdaptor,
  vmDirectories,
} from '../kit/qemu-world.js';
import { buildImage, sharedImage } from '../kit/vm-image.js';
import { vmTest } from '../kit/vm-test.js';

const PLAIN = {
  podName: 'p',
  podNamespace: 'n',
  instanceType: '',
  image: '',
  vcpus: 0,
  memoryMiB: 0,
  gpus: 0,
};

vmTest(
  'an image with certificates of its own serves who they trust, and refuses the rest aloud',
  { machines: 2 },
  async (t, directory) => {
    const folder = (name: string): string => {
      mkdirSync(path.join(directory, name), { mode: 0o700 });
      return path.join(directory, name);
    };
    const ours = await manualSet(folder('ours'));
    const others = await manualSet(folder('others'));
    const server = await ours.authority.issue('server', { names: ['podvm-server'] });
    const certificates = folder('certificates');
    writeFileSync(path.join(certificates, 'tls.crt'), server.certPem);
    writeFileSync(path.join(certificates, 'tls.key'), server.keyPem, { mode: 0o600 });
    writeFileSync(path.join(certificates, 'ca.crt'), others.ca);
    const wrong = path.join(directory, 'wrong');
    const right = path.join(directory, 'right');
    t.throws(() => buildImage(wrong, '--certificates', folder('empty')), /holds none of tls.crt/);
    const imageOfOthers = buildImage(wrong, '--certificates', certificates);
    writeFileSync(path.join(certificates, 'ca.crt'), ours.ca);
    const image = buildImage(right, '--certificates', certificates);

    await t.test(
      'the guest trusts another CA: StartVM fails at once, its console names the reason',
      async t => {
        const adaptor = await startAdaptor(t, directory, imageOfOthers, ...flagsOf(ours.files));
        // A failed start takes its machine away, and the console with it: it is read while it is there.
        let said = '';
        const reading = setInterval(() => {
          for (const vm of vmDirectories(directory)) {
            try {
              said = consoleOf(vm);
            } catch {
              // Not there yet, or gone.
            }
          }
        }, 50);
        await t
          .rejects(adaptor.start('wrong'), { message: /refused|certificate/ })
          .finally(() => clearInterval(reading));
        t.match(said, /(unknown-issuer|not signed by|self-signed|unknown issuer)/i);
        await adaptor.hypervisor.StopVM({ id: 'wrong' });
        t.same(vmDirectories(directory), []);
        await adaptor.program.kill('SIGTERM');
      },
    );

    await t.test('the guest trusts our CA: the pod runs', async t => {
      const adaptor = await startAdaptor(t, directory, image, ...flagsOf(ours.files));
      const shim = await openSandbox(await adaptor.start('manual'));
      const look =
        "stat -c %U:%a /etc/certificates/tls.key; grep -c 'PRIVATE KEY' /run/peerpod/apf.json; exit 5";
      t.same(await runIn(shim.agent, 'c', look), { code: 5, stdout: 'peerpod-forwarder:400\n0\n' });
      shim.client.close();
      const [vm = ''] = vmDirectories(directory);
      t.not(processesOf(vm).length, 0);
      await adaptor.hypervisor.StopVM({ id: 'manual' });
      t.same(processesOf(vm), [], 'StopVM ends a machine that runs');
      t.same(vmDirectories(directory), [], 'and takes everything of it away');
      await adaptor.program.kill('SIGTERM');
    });
  },
);

vmTest(
  'an image without TLS works, and only with an adaptor without TLS',
  { machines: 1 },
  async (t, directory) => {
    const image = sharedImage('--forwarder-options=-disable-tls');
    const adaptor = await startAdaptor(t, directory, image, '-disable-tls');
    const shim = await openSandbox(await adaptor.start('plain'));
    t.match(await runIn(shim.agent, 'c', 'exit 9'), { code: 9 });
    t.match(await adaptor.program.next('link verified'), { protocol: 'plain' });
    await t.rejects(dialAsStranger(directory, 'podvm-nginx-plain'), { code: 'ERR_LINK_NOT_TLS' });
    shim.client.close();
    await adaptor.hypervisor.StopVM({ id: 'plain' });
    t.same(vmDirectories(directory), []);
    await adaptor.program.kill('SIGTERM');
  },
);

vmTest('a boot that cannot succeed ends the machine, and says why', { machines: 2 }, async (t, directory) => {
  const image = sharedImage();

  await t.test('a forwarder that cannot start, and StartVM tells', async t => {
    // The user-data of an adaptor without TLS holds no certificate, which this image's forwarder insists on.
    const adaptor = await startAdaptor(t, directory, image, '-disable-tls');
    await t.rejects(adaptor.start('bare'), { message: /died|no server certificate|TLS/ });
    await adaptor.hypervisor.StopVM({ id: 'bare' });
    t.match(adaptor.program.output, /no server certificate/, "the console's last words are in the log");
    await adaptor.program.kill('SIGTERM');
  });

  await t.test('user-data that is none, and one that lacks what the forwarder needs', async t => {
    const provider = await makeProvider(directory, image, pino({ level: 'silent' }), 'user-data');
    t.teardown(() => provider.close());
    const { signal } = new AbortController();
    const lastLines = async (name: string, userData: string): Promise<string> => {
      const { id } = await provider.createInstance(
        { ...PLAIN, sandbox: name, name, userData },
        { token: `${name}.1`, signal },
      );
      for (;;) {
        const { alive, console } = (await provider.diagnose?.(id, signal)) ?? { alive: false, console: '' };
        if (!alive) return console;
        await sleep(100);
      }
    };
    const [none, other] = await Promise.all([
      lastLines('none', 'the user-data of somebody else'),
      lastLines(
        'other',
        '#cloud-config\nwrite_files:\n  - path: /run/peerpod/daemon.json\n    content: "{}"\n',
      ),
    ]);
    t.match(none, /the user-data does not begin with #cloud-config/);
    t.match(other, /brought no \/run\/peerpod\/apf\.json/);
    for (const { id } of await provider.listInstances(signal)) await provider.deleteInstance(id, signal);
    t.same(vmDirectories(directory), []);
  });
});
