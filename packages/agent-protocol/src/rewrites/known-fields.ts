// SPDX-License-Identifier: Apache-2.0
// The fields that rewrites touch, by their numbers in kata's agent.proto and oci.proto. The rest of those messages is in proto/.
import type { KnownField } from './find-field.js';

const field = (number: number, name: string): KnownField => ({ number, name });

export const createContainer = {
  containerId: field(1, 'container_id'),
  oci: field(6, 'OCI'),
} as const;

export const spec = {
  mounts: field(5, 'OCI.Mounts'),
  annotations: field(7, 'OCI.Annotations'),
  linux: field(8, 'OCI.Linux'),
} as const;

export const linux = {
  namespaces: field(6, 'OCI.Linux.Namespaces'),
} as const;

export const namespace = {
  type: field(1, 'OCI.Linux.Namespaces.Type'),
  path: field(2, 'OCI.Linux.Namespaces.Path'),
} as const;

export const mount = {
  destination: field(1, 'OCI.Mounts.destination'),
  source: field(2, 'OCI.Mounts.source'),
  type: field(3, 'OCI.Mounts.type'),
} as const;

export const annotation = {
  key: field(1, 'OCI.Annotations.key'),
  value: field(2, 'OCI.Annotations.value'),
} as const;

export const createSandbox = {
  dns: field(2, 'dns'),
} as const;
