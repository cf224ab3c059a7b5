// SPDX-License-Identifier: Apache-2.0
// Initdata on its way into user-data. What it must look like is read by the code that reads it in the guest, so that what a
// guest would refuse is refused before there is one.
import { codeOf, reasonOf } from '@peerpod-tls/base';
import { UsageError } from '@peerpod-tls/daemon';
import { initdataFiles, renderInitdata } from '@peerpod-tls/user-data';
import { AdaptorError } from '../errors.js';

/** Checks the value of `-initdata`; gives the base64 without white space. Throws a `UsageError`. */
export function readGlobalInitdata(value: string): string {
  const compact = value.replaceAll(/\s+/g, '');
  if (compact === '') return '';
  try {
    initdataFiles(compact);
  } catch (error) {
    if (!codeOf(error).startsWith('ERR_USER_DATA_')) throw error;
    throw new UsageError(
      `-initdata (INITDATA): ${reasonOf(error)}`,
      'write TOML with algorithm, version and data, and pack it with: gzip -c initdata.toml | base64 -w0',
    );
  }
  return compact;
}

/** Packs the text a shim handed over the way the guest expects it in its file. Throws `ERR_ADAPTOR_INITDATA`. */
export function packInitdata(toml: string): string {
  const packed = renderInitdata(toml);
  try {
    initdataFiles(packed);
  } catch (error) {
    if (!codeOf(error).startsWith('ERR_USER_DATA_')) throw error;
    throw new AdaptorError('ERR_ADAPTOR_INITDATA', `the pod cannot be started: ${reasonOf(error)}`, {
      hint: 'the annotation io.katacontainers.config.hypervisor.cc_init_data brings it',
    });
  }
  return packed;
}
