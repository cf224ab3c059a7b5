// SPDX-License-Identifier: Apache-2.0
// A sandbox as a value: what it is, in which state, and the few steps between states. No file, no socket, no provider.
import type { LeafFacts } from '@peerpod-tls/trust';
import type { Instance } from '@peerpod-tls/providers';

/** What the shim wants of the VM, as read from the nine annotations both shims send. */
export interface SandboxSpec {
  readonly pod: string;
  readonly namespace: string;
  readonly instanceType: string;
  readonly image: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly gpus: number;
  /** Initdata as the decoded TOML text the shim hands over; empty: none. */
  readonly initdata: string;
}

/** The TLS mode a sandbox was made under: a VM keeps what its user-data said, whatever the adaptor does later. */
export type SandboxTls = 'automatic' | 'manual' | 'disabled';

export interface LinkFacts {
  readonly tls: SandboxTls;
  /** The name the VM's certificate must carry; empty with TLS off. */
  readonly serverName: string;
  /** TCP port of its forwarder. */
  readonly port: number;
}

export type SandboxState =
  | { readonly t: 'created'; readonly since: string }
  | {
      readonly t: 'starting';
      readonly since: string;
      readonly token: string;
      readonly instance: Instance | null;
    }
  | { readonly t: 'running'; readonly since: string; readonly instance: Instance }
  /** `instance`, and a `token` without one, are what may still have to be deleted. */
  | {
      readonly t: 'failed';
      readonly since: string;
      readonly reason: string;
      readonly token: string | null;
      readonly instance: Instance | null;
    }
  | {
      readonly t: 'stopping';
      readonly since: string;
      readonly token: string | null;
      readonly instance: Instance | null;
      /** Why the last attempt to delete the instance failed; null before the first failure. */
      readonly trouble: string | null;
    };

type SandboxStateName = SandboxState['t'];
export const SANDBOX_STATES: readonly SandboxStateName[] = [
  'created',
  'starting',
  'running',
  'failed',
  'stopping',
];

export interface Sandbox {
  readonly id: string;
  readonly spec: SandboxSpec;
  /** Path of the pod's network namespace on this node, as CreateVM gave it. */
  readonly networkNamespace: string;
  /** What a link to its VM needs, settled when the VM is made: a VM keeps it, whatever the adaptor's flags are later. */
  readonly link: LinkFacts;
  /** The name the VM has; unique among the sandboxes of this adaptor. */
  readonly instanceName: string;
  readonly createdAt: string;
  /** The server certificate in the user-data of the last start; null before it, and where users bring their own. */
  readonly leaf: LeafFacts | null;
  /** How often StartVM was begun; part of the token that makes a creation happen once. */
  readonly generation: number;
  readonly state: SandboxState;
}

/** The pod of a sandbox as Kubernetes writes it. */
export const podOf = ({ spec }: Sandbox): string => `${spec.namespace}/${spec.pod}`;

/** The instance behind a sandbox in any state, or null: also when a record had lost its id. */
export function instanceOf({ state }: Sandbox): Instance | null {
  return state.t === 'created' || state.instance?.id === '' ? null : state.instance;
}

/** The token of a creation whose outcome is not known to be over, or null. */
export function tokenOf(sandbox: Sandbox): string | null {
  switch (sandbox.state.t) {
    case 'starting':
    case 'failed':
    case 'stopping':
      return sandbox.state.token;
    case 'running':
      return sandbox.state.instance.id === '' ? tokenFor(sandbox) : null;
    case 'created':
      return null;
  }
}

const tokenFor = ({ id, generation }: Sandbox): string => `${id}.${generation}`;

export function toStarting(sandbox: Sandbox, link: LinkFacts, now: Date): Sandbox {
  const generation = sandbox.generation + 1;
  const token = tokenFor({ ...sandbox, generation });
  return {
    ...sandbox,
    link,
    generation,
    state: { t: 'starting', since: now.toISOString(), token, instance: null },
  };
}

/** Notes the instance as soon as it is known, so that a crash after this point cannot forget it. */
export function withInstance(sandbox: Sandbox, instance: Instance): Sandbox {
  if (sandbox.state.t !== 'starting')
    throw new Error(`internal error: sandbox ${sandbox.id} got an instance while ${sandbox.state.t}`);
  return { ...sandbox, state: { ...sandbox.state, instance } };
}

export function withLeaf(sandbox: Sandbox, leaf: LeafFacts | null): Sandbox {
  return { ...sandbox, leaf };
}

/** What the platform said of an instance that a record told too little of. */
export function withFound(sandbox: Sandbox, { id, name, addresses }: Instance): Sandbox {
  if (sandbox.state.t !== 'running') return sandbox;
  return { ...sandbox, state: { ...sandbox.state, instance: { id, name, addresses } } };
}

export function toRunning(sandbox: Sandbox, instance: Instance, now: Date): Sandbox {
  return { ...sandbox, state: { t: 'running', since: now.toISOString(), instance } };
}

/** `cleaned`: nothing of the failed start is left on the platform. */
export function toFailed(sandbox: Sandbox, reason: string, cleaned: boolean, now: Date): Sandbox {
  return {
    ...sandbox,
    state: {
      t: 'failed',
      since: now.toISOString(),
      reason,
      token: cleaned ? null : tokenOf(sandbox),
      instance: cleaned ? null : instanceOf(sandbox),
    },
  };
}

export function toStopping(sandbox: Sandbox, now: Date): Sandbox {
  if (sandbox.state.t === 'stopping') return sandbox;
  return {
    ...sandbox,
    state: {
      t: 'stopping',
      since: now.toISOString(),
      token: tokenOf(sandbox),
      instance: instanceOf(sandbox),
      trouble: null,
    },
  };
}

export function withTrouble(sandbox: Sandbox, trouble: string): Sandbox {
  return sandbox.state.t === 'stopping' ? { ...sandbox, state: { ...sandbox.state, trouble } } : sandbox;
}

/** Why a sandbox is as it is, for `GET /sandboxes`; empty when all is well. */
export function troubleOf(sandbox: Sandbox): string {
  if (sandbox.state.t === 'failed') return sandbox.state.reason;
  return sandbox.state.t === 'stopping' ? (sandbox.state.trouble ?? '') : '';
}
