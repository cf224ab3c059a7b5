// SPDX-License-Identifier: Apache-2.0
// The sandbox's own container. A shim has it run /pause of an image that kata-agent holds and this agent does not: where
// the machine has no such program, a shell does the same, which is nothing until it is told to end.
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { grpc } from '@peerpod-tls/agent-protocol';

/** How containerd, cri-o and kata's shim say that a container is the sandbox's own. */
const SANDBOX_MARKS: readonly (readonly [string, string])[] = [
  ['io.kubernetes.cri.container-type', 'sandbox'],
  ['io.kubernetes.cri-o.ContainerType', 'sandbox'],
  ['io.katacontainers.pkg.oci.container_type', 'pod_sandbox'],
];

const STAND_IN = ['/bin/sh', '-c', 'trap "exit 0" TERM INT; while :; do sleep 86400 & wait; done', 'pause'];

/** The process to run for a container: the one that was asked for, or what stands in for a pause program. */
export function processOrPause(oci: grpc.Spec.$Properties): grpc.Process.$Properties | null | undefined {
  const { Process: asked, Annotations: marks } = oci;
  const program = asked?.Args?.[0] ?? '';
  const isSandbox = SANDBOX_MARKS.some(([name, value]) => marks?.[name] === value);
  if (!isSandbox || basename(program) !== 'pause' || existsSync(program)) return asked;
  return { ...asked, Args: STAND_IN };
}
