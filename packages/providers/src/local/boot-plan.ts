// SPDX-License-Identifier: Apache-2.0
// What a local pod VM is told at its start, and the command lines that follow from it. Plain values only.
import type { LocalPrograms } from './programs.js';

/** Written by the provider into the VM's directory and read by the program that leads the VM. Holds no secret. */
export interface BootPlan {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly directory: string;
  readonly guest: string;
  readonly seed: string;
  readonly config: string;
  readonly console: string;
  readonly agentSocket: string;
  readonly programs: LocalPrograms;
  /** Further flags for the forwarder, as `/etc/default/agent-protocol-forwarder` holds them in a real image. */
  readonly forwarderOptions: readonly string[];
}

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
  const value: unknown = JSON.parse(text);
  if (isPlan(value)) return value;
  throw new Error(
    'this program is started by the local provider of cloud-api-adaptor, with the path of a boot plan',
  );
}

function isPlan(value: unknown): value is BootPlan {
  if (typeof value !== 'object' || value === null) return false;
  const at = (key: string): unknown => Object.getOwnPropertyDescriptor(value, key)?.value;
  const texts = ['name', 'address', 'directory', 'guest', 'seed', 'config', 'console', 'agentSocket'];
  return (
    texts.every(key => typeof at(key) === 'string') &&
    typeof at('port') === 'number' &&
    typeof at('programs') === 'object' &&
    Array.isArray(at('forwarderOptions'))
  );
}
