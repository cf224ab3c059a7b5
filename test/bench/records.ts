// SPDX-License-Identifier: Apache-2.0
// How long the adaptor takes from exec to serving its shims when its state directory has no record, and when it has 1,000
// of running sandboxes, as after an update of the worker's daemon set. Their VMs are addresses where nothing listens.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Measure } from './ground.js';
import { cpuUs, residentBytes, Samples } from './measure.js';
import { bundled } from './ours.js';
import { inTurn } from './pairs.js';
import { listening } from './processes.js';
import { row } from './report.js';
import { dialHypervisor } from '../kit/shim.js';
import { proxiesOf } from '../kit/proxies.js';

const COUNT = 1000;

async function answered(socket: string): Promise<void> {
  const { client, hypervisor } = await dialHypervisor(socket);
  await hypervisor.Version({});
  client.close();
}

/** Writes records of running sandboxes into a state directory, and the directories their sockets belong in. */
function writeRecords(state: string, pods: string, count: number): void {
  mkdirSync(join(state, 'sandboxes'), { recursive: true, mode: 0o700 });
  const since = new Date().toISOString();
  for (let made = 0; made < count; made += 1) {
    const id = `bench${made.toString().padStart(6, '0')}`;
    mkdirSync(join(pods, id), { recursive: true, mode: 0o700 });
    const record = {
      version: 2,
      id,
      spec: {
        pod: `pod-${made}`,
        namespace: 'bench',
        instanceType: '',
        image: '',
        vcpus: 1,
        memoryMiB: 512,
        gpus: 0,
        initdata: '',
      },
      networkNamespace: `/run/netns/${id}`,
      instanceName: `podvm-pod-${made}-${id.slice(-8)}`,
      link: { tls: 'automatic', serverName: `podvm-pod-${made}`, port: 9 },
      createdAt: since,
      leaf: null,
      generation: 1,
      state: {
        t: 'running',
        since,
        instance: { id: `vm-${made}`, name: `vm-${made}`, addresses: ['127.0.0.1'] },
      },
    };
    writeFileSync(join(state, 'sandboxes', `${id}.json`), `${JSON.stringify(record, null, 2)}\n`, {
      mode: 0o600,
    });
  }
}

export const recordsFigures: Measure = async ({ programs, ground, sides, rounds }) => {
  const parts = [0, COUNT].map(count => ({
    count,
    wall: new Samples(),
    cpu: new Samples(),
    memory: new Samples(),
  }));
  let made = 0;
  for (let round = 0; round < rounds; round += 1) {
    for (const { count, wall, cpu, memory } of parts) {
      for (const { name, node, project } of inTurn(sides, round)) {
        if (project === undefined || node === null) continue;
        // Short, since sockets lie in it.
        const folder = join(ground.folder, `r${(made += 1)}`);
        const [state, pods, socket] = [join(folder, 'state'), join(folder, 'pods'), join(folder, 'h.sock')];
        mkdirSync(pods, { recursive: true, mode: 0o700 });
        writeRecords(state, pods, count);
        const begun = performance.now();
        const adaptor = programs.start(project.node.bin, [
          bundled(project.root, 'cloud-api-adaptor'),
          'local',
          `-socket=${socket}`,
          `-pods-dir=${pods}`,
          `-state-dir=${state}`,
          `-data-dir=${join(folder, 'vms')}`,
          '-status-address=127.0.0.1:0',
        ]);
        await listening({ path: socket }, 60_000);
        // A proxy listens before its adaptor serves, and lets calls wait for it.
        await answered(socket);
        wall.add(name, performance.now() - begun);
        cpu.add(name, cpuUs(adaptor.pid) / 1000);
        memory.add(name, residentBytes(adaptor.pid) / 2 ** 20);
        await programs.end(adaptor);
        for (const pid of proxiesOf(folder)) process.kill(pid, 'SIGKILL');
      }
    }
  }
  return parts.flatMap(({ count, wall, cpu, memory }) => {
    const name = `adaptor with ${count.toLocaleString('en')} records, from exec to serving`;
    return [
      row(name, 'ms', false, wall),
      row(`${name}: CPU`, 'ms', false, cpu),
      row(`${name}: resident memory`, 'MiB', false, memory),
    ];
  });
};
