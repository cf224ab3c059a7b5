// SPDX-License-Identifier: Apache-2.0
// The questions of each cloud, as its documentation has them, asked of servers that insist on every word.
import t from 'tap';
import { alibabaSource } from '../../../src/guest/sources/alibaba.js';
import { awsSource } from '../../../src/guest/sources/aws.js';
import { azureSource } from '../../../src/guest/sources/azure.js';
import { gcpSource } from '../../../src/guest/sources/gcp.js';
import type { UserDataSource } from '../../../src/guest/sources/source.js';
import { serve, type Rule } from '../../kit/metadata-server.js';

const USER_DATA = '#cloud-config\n';
const ENCODED = Buffer.from(USER_DATA).toString('base64');
const quick = { requestTimeoutMs: 1000, pauseMs: 5 };

const text = async (source: UserDataSource): Promise<string> =>
  Buffer.from(await source.read(AbortSignal.timeout(10_000))).toString();

t.test('Azure is asked for userData with its header, and answers in base64', async t => {
  const { endpoint, seen } = await serve(t, ({ headers }, response) => {
    if (headers['metadata'] === 'true') response.end(ENCODED);
    else response.writeHead(400).end();
  });
  t.equal(await text(azureSource({ endpoint, ...quick })), USER_DATA);
  t.match(seen, [
    {
      method: 'GET',
      url: '/metadata/instance/compute/userData?api-version=2021-01-01&format=text',
    },
  ]);
});

t.test('Alibaba is asked without any header, and answers as it is', async t => {
  const { endpoint, seen } = await serve(t, (_, response) => void response.end(USER_DATA));
  t.equal(await text(alibabaSource({ endpoint, ...quick })), USER_DATA);
  t.match(seen, [{ method: 'GET', url: '/latest/user-data' }]);
});

t.test('GCP is asked by its name with its mark, and its answer must have the mark', async t => {
  const { endpoint, seen } = await serve(t, ({ headers }, response, count) => {
    if (headers['metadata-flavor'] !== 'Google') return void response.writeHead(403).end();
    if (count > 1) response.setHeader('Metadata-Flavor', 'Google');
    response.end(ENCODED);
  });
  const troubles: string[] = [];
  const bytes = await gcpSource({ endpoint, ...quick }).read(AbortSignal.timeout(10_000), trouble =>
    troubles.push(trouble),
  );
  t.equal(Buffer.from(bytes).toString(), USER_DATA);
  t.match(troubles, [/not marked Metadata-Flavor: Google/]);
  t.match(seen[0], {
    method: 'GET',
    url: '/computeMetadata/v1/instance/attributes/user-data',
    headers: { host: 'metadata.google.internal' },
  });
});

/** EC2 with version 1 turned on as well, so that a fall-back would be seen to work. */
const ec2 =
  (token: Rule, good = 'AQAE-token=='): Rule =>
  (request, response, count) => {
    if (request.method === 'PUT' && request.url === '/latest/api/token')
      return token(request, response, count);
    if (request.method !== 'GET' || request.url !== '/latest/user-data')
      return void response.writeHead(404).end();
    const given = request.headers['x-aws-ec2-metadata-token'];
    if (given !== undefined && given !== good) return void response.writeHead(401).end();
    response.end(USER_DATA);
  };

t.test('AWS is asked for a token first, and for the user-data with it', async t => {
  const { endpoint, seen } = await serve(
    t,
    ec2((_, response) => void response.end('AQAE-token==')),
  );
  t.equal(await text(awsSource({ endpoint, ...quick })), USER_DATA);
  t.match(seen, [
    { method: 'PUT', headers: { 'x-aws-ec2-metadata-token-ttl-seconds': '60' } },
    { method: 'GET', headers: { 'x-aws-ec2-metadata-token': 'AQAE-token==' } },
  ]);
});

t.test('without a token AWS is not asked for anything: version 1 is never used', async t => {
  for (const status of [400, 403, 404, 405]) {
    const { endpoint, seen } = await serve(
      t,
      ec2((_, response) => void response.writeHead(status).end()),
    );
    await t.rejects(text(awsSource({ endpoint, ...quick })), {
      code: 'ERR_USER_DATA_SOURCE',
      message: new RegExp(`IMDSv2 gives no token \\(${status}\\), and version 1 is not used`),
      hint: /HttpTokens=required/,
    });
    t.strictSame(
      seen.map(({ method }) => method),
      ['PUT'],
    );
  }
  for (const body of ['two\nlines', 'caf\u00e9', ' ', 'a b']) {
    const { endpoint, seen } = await serve(
      t,
      ec2((_, response) => void response.end(body)),
    );
    await t.rejects(text(awsSource({ endpoint, ...quick })), {
      code: 'ERR_USER_DATA_SOURCE',
      message: /the answer is not a token/,
    });
    t.equal(seen.length, 1);
  }
});

t.test(
  'a token service that is late or failing is waited for, and a token that is not taken is renewed',
  async t => {
    const late = await serve(
      t,
      ec2((_, response, count) => {
        if (count > 2) response.end('AQAE-token==');
        else if (count === 2) response.writeHead(503).end();
      }),
    );
    t.equal(await text(awsSource({ endpoint: late.endpoint, requestTimeoutMs: 200, pauseMs: 5 })), USER_DATA);
    t.equal(late.seen.filter(({ method }) => method === 'GET').length, 1);

    const renewed = await serve(
      t,
      ec2((_, response, count) => void response.end(count === 1 ? 'old' : 'AQAE-token==')),
    );
    t.equal(await text(awsSource({ endpoint: renewed.endpoint, ...quick })), USER_DATA);
    t.strictSame(
      renewed.seen.map(({ method }) => method),
      ['PUT', 'GET', 'PUT', 'GET'],
    );
  },
);
