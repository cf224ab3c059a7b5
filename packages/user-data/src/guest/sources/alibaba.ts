// SPDX-License-Identifier: Apache-2.0
// The metadata service of Alibaba Cloud: the user-data as it is.
import { bodyOf, metadataSource, readUserData, type MetadataOptions } from './metadata.js';
import type { UserDataSource } from './source.js';

export function alibabaSource(options: MetadataOptions = {}): UserDataSource {
  return metadataSource(
    {
      name: 'the Alibaba Cloud metadata service',
      address: 'http://100.100.100.200',
      async attempt(asker) {
        const answer = await asker({
          method: 'GET',
          path: '/latest/user-data',
          headers: {},
          ...readUserData,
        });
        return bodyOf(answer, 'user-data');
      },
    },
    options,
  );
}
