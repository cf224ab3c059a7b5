// SPDX-License-Identifier: Apache-2.0
// The user-data of a new VM: apf.json and what goes with it, as cloud-config text. Made in memory right before the VM is,
// because it holds the VM's private key and the worker's disk is no place for that.
import {
  GUEST_PATHS,
  measureUserData,
  renderApf,
  renderCloudConfig,
  sizesInWords,
  type UserDataFile,
} from '@peerpod-tls/user-data';
import { AdaptorError } from '../errors.js';
import type { UserDataTls } from '@peerpod-tls/trust';
import { packInitdata } from './initdata.js';
import type { Sandbox } from './sandbox.js';

export interface UserDataOptions {
  readonly sandbox: Sandbox;
  readonly tls: UserDataTls;
  /** `-initdata`, packed; used when the pod brought none. */
  readonly initdata: string;
  readonly scratchSpace: boolean;
  /** The provider's limit for the finished text, in bytes. */
  readonly maxBytes: number;
}

export interface UserData {
  readonly text: string;
  readonly bytes: number;
  /** Paths in the guest. */
  readonly files: readonly string[];
}

/**
 * Writes the user-data; throws `ERR_ADAPTOR_USER_DATA_TOO_BIG`, saying which file takes how much, when the platform would not
 * take it, and `ERR_ADAPTOR_INITDATA` when the guest would not.
 */
export function writeUserData(o: UserDataOptions): UserData {
  const { spec } = o.sandbox;
  const files: UserDataFile[] = [
    {
      path: GUEST_PATHS.apf,
      content: renderApf({
        podNetwork: null,
        podNamespace: spec.namespace,
        podName: spec.pod,
        ...o.tls,
        sandboxId: o.sandbox.id,
      }),
    },
  ];
  const initdata = spec.initdata === '' ? o.initdata : packInitdata(spec.initdata);
  if (initdata !== '') files.push({ path: GUEST_PATHS.initdata, content: initdata });
  if (o.scratchSpace) files.push({ path: GUEST_PATHS.scratchSpace, content: '' });
  const size = measureUserData(files);
  if (size.bytes > o.maxBytes) {
    throw new AdaptorError(
      'ERR_ADAPTOR_USER_DATA_TOO_BIG',
      `the user-data of sandbox ${o.sandbox.id} has ${size.bytes} bytes, the provider takes ${o.maxBytes}: ${sizesInWords(size)}`,
      { hint: initdata === '' ? undefined : 'shorten the initdata, or use a provider that takes more' },
    );
  }
  return { text: renderCloudConfig(files), bytes: size.bytes, files: files.map(file => file.path) };
}
