// SPDX-License-Identifier: Apache-2.0
// The last step before material is put in force, at start and in a reload alike: that links can be made with it.
import { hintOf, messageOf } from '@peerpod-tls/base';
import { proveMaterial } from '@peerpod-tls/link';
import { TrustError } from './errors.js';
import type { InForce } from './in-force.js';

/** @throws TrustError ERR_TRUST_UNUSABLE, naming the file and the flag */
export async function proveInForce({ material, profile, origin }: InForce): Promise<void> {
  try {
    await proveMaterial(material, profile);
  } catch (cause) {
    throw new TrustError('ERR_TRUST_UNUSABLE', `${origin} cannot be put in force: ${messageOf(cause)}`, {
      hint: hintOf(cause),
      cause,
    });
  }
}
