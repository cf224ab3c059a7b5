// SPDX-License-Identifier: Apache-2.0
// A pod VM whose user-data is read by cloud-init itself: boot, mutual TLS, a command, and what the guest holds afterwards.
import { consoleOf, openSandbox, runIn, startAdaptor, vmDirectories } from '../kit/qemu-world.js';
import { sharedImage } from '../kit/vm-image.js';
import { vmTest } from '../kit/vm-test.js';

/** What a person would look at in the guest. The pattern does not find itself in the journal. */
const LOOK = `
echo key=$(stat -c %U:%a /run/peerpod/apf.json)
echo seed=$(ls /dev/vdb /dev/disk/by-label/cidata /sys/block/vdb 2>/dev/null | wc -l)
echo mounts=$(grep -c -e cidata -e iso9660 /proc/mounts)
echo copies=$(grep -rls 'PRIVATE K[E]Y' /run /var /etc /tmp /media /root /home | tr '\\n' ' ')
echo kept=$(find /var/lib/cloud/instance/ /var/lib/cloud/instances /run/cloud-init/instance-data* -mindepth 1 2>/dev/null | tr '\\n' ' ')
echo people=$(awk -F: '$3 >= 1000 && $3 < 65000 {printf "%s ", $1}' /etc/passwd)
echo failed=$(systemctl --failed --plain --no-legend | tr '\\n' ' ')
echo memory=$(awk '/MemTotal|MemAvailable/ {printf "%d ", $2/1024}' /proc/meminfo)
systemd-analyze time | head -1
`;

vmTest('a pod VM of the flavour cloud-init', { machines: 1 }, async (t, directory) => {
  const image = sharedImage('--flavour', 'cloud-init');
  const adaptor = await startAdaptor(t, directory, image);
  const socket = await adaptor.start('ci');
  const [vm = ''] = vmDirectories(directory);
  t.match(await adaptor.program.next('link verified'), { protocol: 'TLSv1.3', names: ['podvm-nginx-ci'] });
  t.comment(`StartVM to ready: ${String((await adaptor.program.next('sandbox started'))['ms'])} ms`);

  const shim = await openSandbox(socket);
  t.match(await runIn(shim.agent, 'c1', 'exit 7'), { code: 7 });
  const { stdout: seen } = await runIn(shim.agent, 'c2', LOOK);
  t.comment(seen);
  t.match(seen, /^key=peerpod-forwarder:600$/m, 'the key belongs to the forwarder alone');
  t.match(seen, /^seed=0$/m, 'the seed disk is unplugged');
  t.match(seen, /^mounts=0$/m);
  t.match(seen, /^copies=\/run\/peerpod\/apf\.json *$/m, 'the key is in one file');
  t.match(seen, /^kept= *$/m, 'cloud-init kept nothing of the user-data');
  t.match(seen, /^people= *$/m, 'and made no user');
  t.match(seen, /^failed= *$/m);
  const said = consoleOf(vm);
  t.match(said, /seed disk \/dev\/vdb was read and unplugged/);
  t.notMatch(
    said,
    /Traceback|ERROR|WARNING|Failed/,
    'nothing went wrong on the way, as far as its console tells',
  );
  t.notMatch(said, /PRIVATE KEY/);

  shim.client.close();
  await adaptor.hypervisor.StopVM({ id: 'ci' });
  t.same(vmDirectories(directory), []);
  await adaptor.program.kill('SIGTERM');
});
