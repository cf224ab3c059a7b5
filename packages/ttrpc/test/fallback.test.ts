// SPDX-License-Identifier: Apache-2.0
// What a server does with calls that no service of its has, when it was given something that answers them.
import t from 'tap';
import type { Test } from 'tap';
import { StatusCode, StatusError, TtrpcClient } from '../src/index.js';
import type { CallContext, Fallback } from '../src/index.js';
import { runEcho } from './support/echo.js';

async function start(t: Test, fallback?: Fallback): Promise<TtrpcClient> {
  const running = await runEcho(fallback === undefined ? {} : { fallback });
  t.teardown(() => running.stop());
  const client = new TtrpcClient(await running.connect());
  t.teardown(() => client.close());
  return client;
}

t.test('an unknown method is answered by the fallback, bytes in and bytes out', async t => {
  const seen: CallContext[] = [];
  const client = await start(t, async (payload, context) => {
    seen.push(context);
    return Buffer.concat([payload, Buffer.of(9)]);
  });
  const answer = await client.call('other.Service', 'Method', Buffer.of(1, 2), {
    timeoutMs: 5000,
    metadata: { one: 'a', two: ['b', 'c'] },
  });
  t.strictSame([...answer], [1, 2, 9]);
  t.match(seen[0], { service: 'other.Service', method: 'Method' });
  t.strictSame(
    [...(seen[0]?.metadata ?? [])],
    [
      ['one', ['a']],
      ['two', ['b', 'c']],
    ],
  );
  t.ok((seen[0]?.deadline ?? 0) > Date.now(), 'and it knows how long the caller waits');
  t.strictSame(
    [...(await client.call('test.Echo', 'Nothing', Buffer.of(4)))],
    [4, 9],
    'also of a known service',
  );
  t.strictSame(
    [...(await client.call('test.Echo', 'Say', Buffer.of(4)))],
    [4],
    'a known method goes to its own',
  );
});

t.test('a status that the fallback throws reaches the caller as it is', async t => {
  const client = await start(t, async () => {
    throw new StatusError(StatusCode.failedPrecondition, 'not now', {
      details: [{ typeUrl: 'type/x', value: Buffer.of(7) }],
    });
  });
  await t.rejects(client.call('other.Service', 'Method', Buffer.of()), {
    code: 'ERR_TTRPC_STATUS',
    status: StatusCode.failedPrecondition,
    message: 'not now',
    details: [{ typeUrl: 'type/x' }],
  });
});

t.test('without a fallback an unknown method is not implemented', async t => {
  const client = await start(t);
  await t.rejects(client.call('other.Service', 'Method', Buffer.of()), {
    status: StatusCode.unimplemented,
    message: 'service other.Service',
  });
  await t.rejects(client.call('test.Echo', 'Nothing', Buffer.of()), {
    status: StatusCode.unimplemented,
    message: 'method Nothing',
  });
});
