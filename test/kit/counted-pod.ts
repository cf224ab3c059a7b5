// SPDX-License-Identifier: Apache-2.0
// A pod whose network can be cut at any byte and whose agent keeps count: adaptor, cable, the real forwarder.
import { startInProcess, type InProcess } from './adaptor-in-process.js';
import { Cable } from './cable.js';
import { CabledProvider } from './cabled-provider.js';
import { CountingAgent } from './counting-agent.js';
import { temporary } from './directory.js';
import type { Teardown } from './program.js';
import { dialAgent, startPod, type ShimAgent } from './shim.js';
import type { Vm } from './vm.js';

export interface CountedPod {
  readonly rig: InProcess;
  readonly cable: Cable;
  readonly agent: CountingAgent;
  readonly vm: Vm;
  /** Connects as another shim; the test ends it, if nobody did. */
  dial(): Promise<ShimAgent>;
}

export interface CountedOptions {
  readonly forwarderFlags?: readonly string[];
}

/** So many pods of one adaptor, each with a VM, an agent and a cable of its own. */
export async function countedPods(
  t: Teardown,
  count: number,
  o: CountedOptions = {},
): Promise<readonly CountedPod[]> {
  const directory = temporary(t);
  const agents: CountingAgent[] = [];
  const provider = new CabledProvider(t, directory, '127.0.0.1', {
    ...o,
    boot: async vm => {
      await vm.provision();
      agents.push(await CountingAgent.start(t, vm.agentSocket));
      await vm.startForwarder();
    },
  });
  // One port on several addresses: an adaptor has one for all of its VMs.
  const cables: Cable[] = [];
  const vms: Vm[] = [];
  for (let at = 0; at < count; at += 1) {
    const far = (): { host: string; port: number } => ({
      host: '127.0.0.1',
      port: (vms[at] ?? provider.vm).port,
    });
    cables.push(await Cable.plug(t, `127.0.0.${at + 1}`, cables[0]?.port ?? 0, far));
  }
  const rig = await startInProcess(t, { directory, provider, port: cables[0]?.port ?? 0 });
  const pods: CountedPod[] = [];
  for (const [at, cable] of cables.entries()) {
    provider.host = cable.host;
    const path = await startPod(rig.hypervisor, `pod${at}`);
    const { vm } = provider;
    vms.push(vm);
    const agent = agents[at];
    if (agent === undefined) throw new Error('the VM has no agent');
    const dial = async (): Promise<ShimAgent> => {
      const shim = await dialAgent(path);
      t.teardown(() => shim.client.close());
      return shim;
    };
    pods.push({ rig, cable, agent, vm, dial });
  }
  return pods;
}

/** One such pod. */
export async function countedPod(t: Teardown, o: CountedOptions = {}): Promise<CountedPod> {
  const [pod] = await countedPods(t, 1, o);
  if (pod === undefined) throw new Error('there is no pod');
  return pod;
}
