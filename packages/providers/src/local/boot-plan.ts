// SPDX-License-Identifier: Apache-2.0
// What a local pod VM is told at its start, and the command lines that follow from it. Plain values only.
import { checkShape } from '@peerpod-tls/base/schema';
import * as v from 'valibot';

/** Written by the provider into the VM's directory and read by the program that leads the VM. Holds no secret. */
const bootPlan = v.object({
  name: v.string(),
  address: v.string(),
  port: v.number(),
  directory: v.string(),
  guest: v.string(),
  seed: v.string(),
  config: v.string(),
  console: v.string(),
  agentSocket: v.string(),
  programs: v.object({
    vm: v.string(),
    processUserData: v.string(),
    forwarder: v.string(),
    agent: v.string(),
  }),
  /** Further flags for the forwarder, as `/etc/default/agent-protocol-forwarder` holds them in a real image. */
  forwarderOptions: v.array(v.string()),
});
export type BootPlan = v.InferOutput<typeof bootPlan>;

export interface BootArguments {
  readonly processUserData: readonly string[];
  readonly forwarder: readonly string[];
  readonly agent: readonly string[];
}

export function bootArguments(plan: BootPlan): BootArguments {
  return {
    processUserData: ['provision-files', '-root', plan.guest, '-source', plan.seed, '-t', '30'],
    forwarder: [
      '-config',
      plan.config,
      '-listen',
      `${plan.address}:${plan.port}`,
      '-kata-agent-socket',
      plan.agentSocket,
      // There is no network namespace to join here: containers share the machine's network.
      '-pod-namespace',
      '',
      '-guest-root',
      plan.guest,
      ...plan.forwarderOptions,
    ],
    agent: ['-socket', plan.agentSocket, '-root', plan.guest],
  };
}

/** @throws Error when the text is not a plan the provider wrote */
export function parseBoot(text: string): BootPlan {
  const checked = checkShape(bootPlan, JSON.parse(text));
  if (checked.t === 'value') return checked.value;
  throw new Error(
    'this program is started by the local provider of cloud-api-adaptor, with the path of a boot plan',
  );
}
