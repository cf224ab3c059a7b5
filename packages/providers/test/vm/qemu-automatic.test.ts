// SPDX-License-Identifier: Apache-2.0
// One pod VM with the adaptor as CA: boot, mutual TLS, a command, what the guest holds, a foreign client, an adaptor
// that is killed, a power cut. Real programs, a real kernel, nothing in between.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { processesOf } from '../../src/host/vm-processes.js';
import { dialAgent } from '../../../../test/kit/shim.js';
import {
  authorityOf,
  begin,
  consoleOf,
  dialAsStranger,
  openSandbox,
  runIn,
  startAdaptor,
  vmDirectories,
} from '../kit/qemu-world.js';
import { sharedImage } from '../kit/vm-image.js';
import { vmTest } from '../kit/vm-test.js';

/** What a person would look at in the guest, each answer on a line of its own. */
const LOOK = `
echo user=$(stat -c %U:%a /run/peerpod/apf.json)
echo dir=$(stat -c %U:%G:%a /run/peerpod)
echo runs-as=$(ps -o user= -p $(pgrep -f agent-protocol-forwarder | head -1) 2>/dev/null || stat -c %U /proc/$(systemctl show -P MainPID agent-protocol-forwarder))
echo caps=$(grep CapEff /proc/$(systemctl show -P MainPID agent-protocol-forwarder)/status | cut -f2)
echo seed=$(ls /dev/vdb /dev/disk/by-label/cidata /sys/block/vdb 2>/dev/null | wc -l)
echo mounts=$(grep -c cidata /proc/mounts)
echo copies=$(grep -rlsI 'PRIVATE KEY' /run /var /etc /tmp /media /root /home --exclude-dir=usr | tr '\\n' ' ')
echo source=$(stat -c %U /var/lib/kubelet/pods/1/volumes/empty)
echo route=$(ip -n podns route show type prohibit | grep -c 169.254.169.254)
echo failed=$(systemctl --failed --plain --no-legend | tr '\\n' ' ')
echo memory=$(awk '/MemTotal|MemAvailable/ {printf "%d ", $2/1024}' /proc/meminfo)
systemd-analyze security --no-pager agent-protocol-forwarder.service process-user-data.service 2>/dev/null | grep 'exposure level'
systemd-analyze time | head -1
`;

vmTest('a pod VM from its start to a power cut', { machines: 1 }, async (t, directory) => {
  const image = sharedImage();
  const adaptor = await startAdaptor(t, directory, image);
  const socket = await adaptor.start('one');
  const [vm = ''] = vmDirectories(directory);
  const verified = await adaptor.program.next('link verified');
  t.match(verified, { protocol: 'TLSv1.3', subject: /agent-protocol-forwarder/ });
  t.comment(`StartVM to ready: ${String((await adaptor.program.next('sandbox started'))['ms'])} ms`);
  t.notOk(existsSync(path.join(vm, 'seed.iso')), 'the user-data has no name on the host any more');
  t.notMatch(readFileSync(path.join(vm, 'console.log'), 'latin1'), /PRIVATE KEY/);

  const shim = await openSandbox(socket);
  t.match(await runIn(shim.agent, 'c1', 'echo from $(uname -n); exit 7'), {
    code: 7,
    stdout: /^from podvm-nginx-one|^from /,
  });

  const { stdout: seen } = await runIn(shim.agent, 'c2', LOOK);
  t.comment(seen);
  t.match(seen, /^user=peerpod-forwarder:600$/m, 'the key belongs to the forwarder alone');
  t.match(seen, /^dir=root:peerpod-forwarder:710$/m);
  t.match(seen, /^runs-as=peerpod-forwarder$/m);
  t.match(seen, /^caps=0{16}$/m, 'without any capability');
  t.match(seen, /^seed=0$/m, 'the seed disk is unplugged');
  t.match(seen, /^mounts=0$/m);
  t.match(seen, /^copies=\/run\/peerpod\/apf\.json *$/m, 'the key is in one file');
  t.match(seen, /^source=peerpod-forwarder$/m, 'the source of a bind mount was made');
  t.match(seen, /^route=1$/m, 'metadata is closed for the pod');
  t.match(seen, /^failed= *$/m);

  await t.test("a second adaptor's client is refused", async t => {
    // It trusts the right CA, whose certificate is no secret, so that it is the guest that refuses.
    const dialled = dialAsStranger(directory, 'podvm-nginx-one', authorityOf(directory));
    await t.rejects(dialled, { code: 'ERR_LINK_TLS_REFUSED' });
    t.match(consoleOf(vm), /peer refused/, 'and says so on its console');
  });

  await t.test('an adaptor that is killed finds the running machine again', async t => {
    await adaptor.program.kill('SIGKILL');
    shim.client.close();
    t.not(processesOf(vm).length, 0, 'the machine runs on');
    const second = await startAdaptor(t, directory, image);
    const again = await dialAgent(socket);
    t.match(await runIn(again.agent, 'c3', 'exit 3'), { code: 3 });

    await begin(again.agent, 'c4', 'sleep 600');
    // A read is made again on the next link; with no machine there is none, and the connection ends when the time is over.
    const call = again.agent.ReadStdout({ containerId: 'c4', execId: '', len: 10 });
    await again.agent.StatsContainer({ containerId: 'c4' });
    for (const pid of processesOf(vm)) process.kill(pid, 'SIGKILL');
    await t.rejects(call, { code: 'ERR_TTRPC_CLOSED' }, 'a power cut ends the call');
    again.client.close();
    await second.hypervisor.StopVM({ id: 'one' });
    t.same(vmDirectories(directory), [], 'and StopVM leaves nothing');
    t.same(readdirSync(path.join(directory, 'vms', 'addresses')), []);
    await second.program.kill('SIGTERM');
  });
});
