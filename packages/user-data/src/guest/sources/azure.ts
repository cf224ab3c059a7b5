// SPDX-License-Identifier: Apache-2.0
// Azure's instance metadata service: the VM's userData, in base64.
import {
  bodyOf,
  decodeUserData,
  metadataSource,
  readEncodedUserData,
  type MetadataOptions,
} from './metadata.js';
import type { UserDataSource } from './source.js';

const PATH = '/metadata/instance/compute/userData?api-version=2021-01-01&format=text';

export function azureSource(options: MetadataOptions = {}): UserDataSource {
  return metadataSource(
    {
      name: 'the Azure metadata service',
      address: 'http://169.254.169.254',
      async attempt(asker) {
        const answer = await asker({
          method: 'GET',
          path: PATH,
          headers: { Metadata: 'true' },
          ...readEncodedUserData,
        });
        return decodeUserData(bodyOf(answer, 'user-data'));
      },
    },
    options,
  );
}
