// SPDX-License-Identifier: Apache-2.0
// Which source a machine has, by what is there and what the machine says it is. Asks nothing over a network: a service
// that answers at a cloud's address proves nothing about the machine.
import type { Machine } from './machine.js';

export const SOURCE_NAMES = ['file', 'azure', 'aws', 'gcp', 'alibaba'] as const;
export type SourceName = (typeof SOURCE_NAMES)[number];

export interface Detected {
  readonly source: SourceName;
  /** What it was seen by, for the log. */
  readonly evidence: string;
}

/** Azure gives every VM this tag and other users of Hyper-V do not have it; the manufacturer is the same for both. */
const AZURE_CHASSIS_TAG = '7783-7084-3265-9085-8269-3286-77';

/**
 * A seed file goes first, since somebody put it there on purpose. A machine without any evidence waits for one.
 *
 * @param seedIsThere - whether the seed file exists, or something there cannot be looked at
 */
export function detectSource(machine: Machine, seedIsThere: boolean): Detected {
  if (seedIsThere) return { source: 'file', evidence: 'the seed file is there' };
  const { vendor, product, chassisTag } = machine;
  if (chassisTag === AZURE_CHASSIS_TAG)
    return { source: 'azure', evidence: `chassis asset tag ${chassisTag}` };
  if (vendor === 'Amazon EC2') return { source: 'aws', evidence: `manufacturer ${vendor}` };
  if (product === 'Google Compute Engine') return { source: 'gcp', evidence: `product ${product}` };
  if (vendor === 'Alibaba Cloud') return { source: 'alibaba', evidence: `manufacturer ${vendor}` };
  return {
    source: 'file',
    evidence:
      vendor === '' ? 'the machine does not say what it is' : `manufacturer ${vendor} is no known cloud`,
  };
}
