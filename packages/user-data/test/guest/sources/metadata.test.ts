// SPDX-License-Identifier: Apache-2.0
// What every cloud's source does when its service misbehaves, over real HTTP. Alibaba's stands for all: it asks least.
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { MAX_USER_DATA_BYTES } from '../../../src/cloud-config.js';
import { alibabaSource } from '../../../src/guest/sources/alibaba.js';
import { azureSource } from '../../../src/guest/sources/azure.js';
import type { MetadataOptions } from '../../../src/guest/sources/metadata.js';
import type { UserDataSource } from '../../../src/guest/sources/source.js';
import { serve, serveBytes } from '../../kit/metadata-server.js';

const quick = { requestTimeoutMs: 300, pauseMs: 5 };
const source = (endpoint: URL, more: MetadataOptions = {}): UserDataSource =>
  alibabaSource({ endpoint, ...quick, ...more });

/** The text it gives in the end, and what it said on the way. */
async function read(from: UserDataSource, signal = AbortSignal.timeout(20_000)) {
  const troubles: string[] = [];
  const bytes = await from.read(signal, trouble => troubles.push(trouble));
  return { text: Buffer.from(bytes).toString(), troubles };
}

/** The troubles until it is told to stop after some of them. */
async function troublesOf(from: UserDataSource, count = 2): Promise<string[]> {
  const stop = new AbortController();
  const troubles: string[] = [];
  const reading = from.read(stop.signal, trouble => {
    troubles.push(trouble);
    if (troubles.length === count) stop.abort(new Error('enough'));
  });
  await reading.then(
    () => troubles.push('and then it gave something'),
    () => {},
  );
  return troubles;
}

t.test('errors of the service that may pass are waited out', async t => {
  for (const status of [500, 503, 404, 408, 425, 429]) {
    const { endpoint, seen } = await serve(t, (_, response, count) => {
      response.writeHead(count < 3 ? status : 200).end(count < 3 ? 'sorry' : 'user-data');
    });
    const { text, troubles } = await read(source(endpoint));
    t.equal(text, 'user-data');
    t.equal(troubles.length, 2);
    t.match(troubles[0], new RegExp(`answered ${status}`));
    t.notMatch(troubles.join(), /sorry/, 'what it said is not repeated');
    t.equal(seen.length, 3);
  }
});

t.test('a pause grows from one try to the next', async t => {
  const times: number[] = [];
  const { endpoint } = await serve(t, (_, response, count) => {
    times.push(performance.now());
    response.writeHead(count < 5 ? 500 : 200).end('user-data');
  });
  await read(source(endpoint, { pauseMs: 20 }));
  const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
  [20, 40, 80, 160].forEach((least, i) => t.ok((gaps[i] ?? 0) >= least - 2, `${gaps[i]} after ${least}`));
});

t.test('an answer that hangs, before or in its body, is given up after the time of one request', async t => {
  const silent = await serve(t, (_, response, count) => {
    if (count > 1) response.end('user-data');
  });
  const first = await read(source(silent.endpoint));
  t.match(first, { text: 'user-data', troubles: ['did not answer within 0.3 s'] });

  const half = await serve(t, (_, response, count) => {
    if (count > 1) response.end('user-data');
    else response.writeHead(200, { 'content-length': 100 }).write('half');
  });
  t.match(await read(source(half.endpoint)), {
    text: 'user-data',
    troubles: ['did not answer within 0.3 s'],
  });
});

t.test('bytes that come one by one do not stretch the time of one request', async t => {
  const { endpoint } = await serve(t, (_, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(timer));
  });
  t.strictSame(await troublesOf(source(endpoint), 1), ['did not answer within 0.3 s']);
});

t.test('nobody there, garbage, and a cut answer are tried again', async t => {
  const closed = await serve(t, () => {});
  const gone = new URL(closed.endpoint);
  gone.port = '1';
  t.match((await troublesOf(source(gone)))[0], /could not be reached, .*\(ECONNREFUSED\)/);
  const garbage = await serveBytes(t, '\u0016\u0003\u0001garbage\r\n\r\n');
  t.match((await troublesOf(source(garbage)))[0], /did not speak HTTP \(HPE_/);
  const cut = await serveBytes(t, 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n#cloud-config');
  t.match((await troublesOf(source(cut)))[0], /cut its answer/);
  const none = await serveBytes(t, '');
  t.match((await troublesOf(source(none)))[0], /cut its answer/);
});

t.test('an empty user-data is waited for', async t => {
  const { endpoint } = await serve(
    t,
    (_, response, count) => void response.end(count > 1 ? 'user-data' : ''),
  );
  t.strictSame(await read(source(endpoint)), { text: 'user-data', troubles: ['gave an empty user-data'] });
});

t.test('what no second try can mend ends it at once, naming the service', async t => {
  const elsewhere = await serve(t, (_, response) => void response.end('#cloud-config\n'));
  const rows: readonly [number, Record<string, string>, string, { code: string; message: RegExp }][] = [
    [
      302,
      { location: elsewhere.endpoint.href },
      '',
      { code: 'ERR_USER_DATA_SOURCE', message: /redirect \(302\), which is not followed/ },
    ],
    [307, { location: '/' }, '', { code: 'ERR_USER_DATA_SOURCE', message: /redirect \(307\)/ }],
    [400, {}, '', { code: 'ERR_USER_DATA_SOURCE', message: /answered 400/ }],
    [403, {}, '', { code: 'ERR_USER_DATA_SOURCE', message: /answered 403/ }],
    [204, {}, '', { code: 'ERR_USER_DATA_SOURCE', message: /answered 204/ }],
    [
      200,
      { 'content-encoding': 'gzip' },
      'x',
      { code: 'ERR_USER_DATA_SOURCE', message: /encoded, which was not asked for/ },
    ],
  ];
  for (const [status, headers, body, expected] of rows) {
    const { endpoint, seen } = await serve(
      t,
      (_, response) => void response.writeHead(status, headers).end(body),
    );
    await t.rejects(read(source(endpoint)), expected, String(status));
    await t.rejects(read(source(endpoint)), {
      message: new RegExp(`^the Alibaba Cloud metadata service \\(${endpoint.host}\\): `),
    });
    t.equal(seen.length, 2, 'one request each time');
  }
  t.equal(elsewhere.seen.length, 0);
});

t.test('an answer that is too large is not read to its end, said beforehand or not', async t => {
  for (const said of [true, false]) {
    let sent = 0;
    const { endpoint } = await serve(t, (_, response) => {
      response.writeHead(200, said ? { 'content-length': 1e9 } : {});
      const more = (): void => {
        while (!response.destroyed && sent < 1e9) {
          sent += 65_536;
          if (!response.write(Buffer.alloc(65_536))) return void response.once('drain', more);
        }
      };
      more();
    });
    await t.rejects(read(source(endpoint, { requestTimeoutMs: 10_000 })), {
      code: 'ERR_USER_DATA_TOO_LARGE',
      message: new RegExp(`more than ${MAX_USER_DATA_BYTES} bytes`),
    });
    t.ok(sent < 5e7, `${sent} bytes were sent`);
  }
});

t.test('bad base64 is refused, naming the service; line breaks in it are not', async t => {
  for (const body of ['#cloud-config', 'I2Nsb3Vk!', 'I2Nsb3V']) {
    const { endpoint } = await serve(t, (_, response) => void response.end(body));
    await t.rejects(read(azureSource({ endpoint, ...quick })), {
      code: 'ERR_USER_DATA_FORMAT',
      message: /^the Azure metadata service .*: the user-data is not base64$/,
    });
  }
  const { endpoint } = await serve(t, (_, response) => void response.end('I2Nsb3\r\nVk\n'));
  t.equal((await read(azureSource({ endpoint, ...quick }))).text, '#cloud');
});

t.test('it stops when it is told to, in a request and in a pause', async t => {
  const { endpoint } = await serve(t, (_, response, count) => {
    if (count % 2 === 1) response.writeHead(500).end();
  });
  for (const [requestTimeoutMs, pauseMs] of [
    [60_000, 1],
    [60_000, 60_000],
  ] as const) {
    const stop = new AbortController();
    const reading = read(source(endpoint, { requestTimeoutMs, pauseMs }), stop.signal);
    await sleep(100);
    stop.abort(new Error('told to'));
    await t.rejects(reading, { message: /told to|aborted/ });
  }
});

t.test('the proxies of the environment are not asked', async t => {
  const proxy = await serve(t, (_, response) => void response.end('from the proxy'));
  const { endpoint } = await serve(t, (_, response) => void response.end('user-data'));
  const before = process.env['http_proxy'];
  process.env['http_proxy'] = proxy.endpoint.href;
  t.teardown(() => {
    if (before === undefined) delete process.env['http_proxy'];
    else process.env['http_proxy'] = before;
  });
  t.equal((await read(source(endpoint))).text, 'user-data');
  t.equal(proxy.seen.length, 0);
});
