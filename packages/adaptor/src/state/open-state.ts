// SPDX-License-Identifier: Apache-2.0
// The directories of an adaptor, made where they are missing, and the state directory as its own.
import { hintOf, makeSecretDirectory, reasonOf } from '@peerpod-tls/base';
import { AdaptorError, type AdaptorErrorCode } from '../errors.js';
import { takeOverStateDir, type StateLock, type TakeOver } from './state-lock.js';

/**
 * @throws AdaptorError `ERR_ADAPTOR_PODS_DIR`, `ERR_ADAPTOR_STATE_DIR`, `ERR_ADAPTOR_STATE_IN_USE`
 */
export async function openState(
  { podsDir, stateDir }: { readonly podsDir: string; readonly stateDir: string },
  takeOver: TakeOver,
): Promise<StateLock> {
  await makeFor('-pods-dir', podsDir, 'ERR_ADAPTOR_PODS_DIR');
  await makeFor('-state-dir', stateDir, 'ERR_ADAPTOR_STATE_DIR');
  return takeOverStateDir(stateDir, takeOver);
}

async function makeFor(flag: string, directory: string, code: AdaptorErrorCode): Promise<void> {
  try {
    await makeSecretDirectory(directory);
  } catch (cause) {
    throw new AdaptorError(code, `${flag} cannot be used: ${reasonOf(cause)}`, {
      hint: hintOf(cause),
      cause,
    });
  }
}
