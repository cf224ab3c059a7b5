// SPDX-License-Identifier: Apache-2.0
// What CreateVM's annotations mean. Pure: text in, a checked spec out; it makes nothing and touches no path.
import { AdaptorError } from '../errors.js';
import type { SandboxSpec } from '../sandboxes/sandbox.js';

const POD_NAME = 'io.kubernetes.cri.sandbox-name';
const POD_NAMESPACE = 'io.kubernetes.cri.sandbox-namespace';
const HYPERVISOR = 'io.katacontainers.config.hypervisor.';

/** Longest path the kernel takes (PATH_MAX). */
const MAX_PATH = 4096;

/** Checks the path of the pod's network namespace; it is only kept and shown, never opened. */
export function checkNamespacePath(given: string): string {
  if (Buffer.byteLength(given) >= MAX_PATH || given.includes('\0')) {
    throw new AdaptorError('ERR_ADAPTOR_REQUEST', 'networkNamespacePath is no path');
  }
  return given;
}

/** Longest pod or namespace name Kubernetes itself allows (a DNS subdomain, RFC 1123). */
const MAX_NAME = 253;

/** Reads the annotations; throws `ERR_ADAPTOR_REQUEST` naming the annotation that is missing or unusable. */
export function readSandboxSpec(annotations: Readonly<Record<string, string>>): SandboxSpec {
  const read = (key: string): string => (Object.hasOwn(annotations, key) ? (annotations[key] ?? '') : '');
  return {
    pod: requireName(POD_NAME, podNameOf(read(POD_NAME))),
    namespace: requireName(POD_NAMESPACE, read(POD_NAMESPACE)),
    instanceType: read(`${HYPERVISOR}machine_type`),
    image: read(`${HYPERVISOR}image`),
    vcpus: readCount(read(`${HYPERVISOR}default_vcpus`)),
    memoryMiB: readCount(read(`${HYPERVISOR}default_memory`)),
    gpus: readCount(read(`${HYPERVISOR}default_gpus`)),
    initdata: read(`${HYPERVISOR}cc_init_data`),
  };
}

/** CRI-O writes `k8s_<pod>_<namespace>_<uid>_<attempt>` where containerd writes the pod's name. */
function podNameOf(value: string): string {
  return value.startsWith('k8s_') ? (value.split('_')[1] ?? '') : value;
}

function requireName(key: string, value: string): string {
  if (value === '') {
    throw new AdaptorError('ERR_ADAPTOR_REQUEST', `the annotation ${key} is missing or empty`, {
      hint: 'the shim sends it with every CreateVM; a caller by hand has to give it too',
    });
  }
  // Control characters would travel into apf.json, logs and terminals; no Kubernetes name has any.
  if (value.length > MAX_NAME || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(value)) {
    throw new AdaptorError(
      'ERR_ADAPTOR_REQUEST',
      `the annotation ${key} is no Kubernetes name: ${JSON.stringify(value.slice(0, 80))}`,
    );
  }
  return value;
}

/** Decimal, and 0 for anything else: the shims send an empty text when nobody asked for a size. */
function readCount(value: string): number {
  if (!/^\d{1,9}$/.test(value)) return 0;
  return Number.parseInt(value, 10);
}
