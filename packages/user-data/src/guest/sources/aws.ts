// SPDX-License-Identifier: Apache-2.0
// The instance metadata service of EC2, version 2 alone: a token first, then the user-data as it is. Version 1 gives the
// keys of the VM to whoever can make any process in it fetch a URL, so there is no way back to it.
import { NotYet } from './http.js';
import {
  bodyOf,
  metadataSource,
  readUserData,
  refused,
  type Asker,
  type MetadataOptions,
} from './metadata.js';
import type { UserDataSource } from './source.js';

/** In seconds; one token serves one try. */
const TOKEN_LIFE = '60';

export function awsSource(options: MetadataOptions = {}): UserDataSource {
  return metadataSource(
    {
      name: 'the AWS metadata service',
      address: 'http://169.254.169.254',
      async attempt(asker) {
        const token = await fetchToken(asker);
        const answer = await asker({
          method: 'GET',
          path: '/latest/user-data',
          headers: { 'X-aws-ec2-metadata-token': token },
          ...readUserData,
        });
        if (answer.status === 401) throw new NotYet('user-data: the token was not taken (401)');
        return bodyOf(answer, 'user-data');
      },
    },
    options,
  );
}

async function fetchToken(asker: Asker): Promise<string> {
  const answer = await asker({
    method: 'PUT',
    path: '/latest/api/token',
    headers: { 'X-aws-ec2-metadata-token-ttl-seconds': TOKEN_LIFE },
    maxBytes: 4096,
  });
  if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) {
    throw refused(
      `IMDSv2 gives no token (${answer.status}), and version 1 is not used`,
      'turn the metadata options of the instance to HttpEndpoint=enabled and HttpTokens=required',
    );
  }
  const token = bodyOf(answer, 'IMDSv2 token').toString('latin1').trim();
  if (!/^[\x21-\x7e]+$/.test(token)) throw refused('IMDSv2 token: the answer is not a token');
  return token;
}
