// SPDX-License-Identifier: Apache-2.0
// What tests of dead sandboxes ask of an adaptor: a pod that runs, its row, and a figure.
import { annotations, type Rig } from './adaptor.js';

/** CreateVM and StartVM; gives the path of the agent's socket. */
export async function runPod(rig: Rig, id: string): Promise<string> {
  const { agentSocketPath } = await rig.hypervisor.CreateVM({
    id,
    annotations: annotations(),
    networkNamespacePath: '',
  });
  await rig.hypervisor.StartVM({ id });
  return agentSocketPath;
}

const get = async (rig: Rig, route: string): Promise<Response> =>
  fetch(`http://${rig.adaptor.statusAddress}${route}`);

/** The row of a sandbox in `/sandboxes`; empty when there is none. */
export async function rowOf(rig: Rig, id: string): Promise<Record<string, unknown>> {
  const answer: unknown = await (await get(rig, '/sandboxes')).json();
  const { sandboxes } = Object(answer);
  return Object(sandboxes.find((row: { id: string }) => row.id === id));
}

/** The value of a series in `/metrics`; empty when it is not there. */
export async function metricOf(rig: Rig, series: string): Promise<string> {
  const text = await (await get(rig, '/metrics')).text();
  const line = text.split('\n').find(one => one.startsWith(`${series} `)) ?? '';
  return line.slice(series.length + 1);
}
