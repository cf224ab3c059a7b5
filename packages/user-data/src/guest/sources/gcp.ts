// SPDX-License-Identifier: Apache-2.0
// The metadata server of Google Compute Engine: the attribute user-data, in base64. Asked by its address, so that no name
// service can send the question elsewhere.
import { NotYet } from './http.js';
import {
  bodyOf,
  decodeUserData,
  metadataSource,
  readEncodedUserData,
  type MetadataOptions,
} from './metadata.js';
import type { UserDataSource } from './source.js';

const FLAVOR = 'Google';

export function gcpSource(options: MetadataOptions = {}): UserDataSource {
  return metadataSource(
    {
      name: 'the GCP metadata server',
      address: 'http://169.254.169.254',
      async attempt(asker) {
        const answer = await asker({
          method: 'GET',
          path: '/computeMetadata/v1/instance/attributes/user-data',
          headers: { Host: 'metadata.google.internal', 'Metadata-Flavor': FLAVOR },
          ...readEncodedUserData,
        });
        const body = bodyOf(answer, 'user-data');
        // The server marks each answer; one without the mark is somebody else's.
        if (answer.headers['metadata-flavor'] !== FLAVOR)
          throw new NotYet('user-data: the answer is not marked Metadata-Flavor: Google');
        return decodeUserData(body);
      },
    },
    options,
  );
}
