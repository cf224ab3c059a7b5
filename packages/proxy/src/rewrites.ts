// SPDX-License-Identifier: Apache-2.0
// What the adaptor changes in a request on its way to the agent: annotations of CreateContainer, nothing else. Each
// change is one rule in a list, so that another (cloud volumes) is another entry.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import {
  viewCreateContainer,
  withAnnotations,
  type CreateContainerView,
} from '@peerpod-tls/agent-protocol/wire';
import type { Rewrite } from '@peerpod-tls/link';
import { StatusCode } from '@peerpod-tls/ttrpc';
import type { ProxySpec } from './spec.js';

/** Annotation that tells the forwarder which bind-mount sources to wait for. */
export const TARGET_PATH = 'io.confidentialcontainers.org.peerpodvolumes.target_path';
const DEFAULT_GPUS = 'io.katacontainers.config.hypervisor.default_gpus';
const CDI = 'cdi.k8s.io/peer-pods';
const CDI_ALL_GPUS = 'nvidia.com/gpu=all';

const CSI = '/volumes/kubernetes.io~csi/';

/** One rule: the annotations a container gets, from what its request says. */
type AnnotationRule = (view: CreateContainerView) => Promise<readonly (readonly [string, string])[]>;

/** A pod that asked for GPUs gets all of its VM's, through the container device interface. */
const gpuRule: AnnotationRule = async view =>
  (view.annotations.get(DEFAULT_GPUS) ?? '') === '' ? [] : [[CDI, CDI_ALL_GPUS]];

/** Names the CSI volumes among the mounts, for the forwarder to wait until they are mounted in the VM. */
function targetPathRule(directVolumes: string): AnnotationRule {
  return async view => {
    const sources: string[] = [];
    for (const { source } of view.mounts) {
      if (source.includes(CSI) && (await isDirectVolume(directVolumes, source))) sources.push(source);
    }
    return sources.length === 0 ? [] : [[TARGET_PATH, sources.join(',')]];
  };
}

/** The directory's name is the target path in base64url, padded, as Kata writes it. */
async function isDirectVolume(directVolumes: string, source: string): Promise<boolean> {
  const encoded = Buffer.from(source).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
  try {
    return (await stat(path.join(directVolumes, encoded))).isDirectory();
  } catch {
    return false;
  }
}

/** The rewrites of every relay of an adaptor. */
export function adaptorRewrites(o: ProxySpec['rewrites']): readonly Rewrite[] {
  const rules = [gpuRule, targetPathRule(o.directVolumes)];
  return [
    {
      service: 'grpc.AgentService',
      method: 'CreateContainer',
      apply: async message => {
        const read = viewCreateContainer(message);
        if (read.t === 'refused') return read;
        if (!read.view.hasOci) {
          return { t: 'refused', status: StatusCode.invalidArgument, reason: 'the request has no OCI' };
        }
        const set = new Map<string, string>();
        for (const rule of rules) for (const [key, value] of await rule(read.view)) set.set(key, value);
        return withAnnotations(message, set);
      },
    },
  ];
}
