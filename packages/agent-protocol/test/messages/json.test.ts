// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import t from 'tap';
import { grpc } from '../../gen/messages.js';
import { camelCase, jsonToMessage } from '../../src/messages/json-request.js';
import { messageToJson } from '../../src/messages/json-response.js';
import { findMethod, listMethods } from '../../src/methods/methods.js';
import { allMethods, enumIn, messageIn, type Field, type MessageType } from '../../src/messages/schema.js';

const word = fc.string({ unit: 'grapheme', maxLength: 12 });

/** JSON that fits a field, in the form messageToJson prints. */
function valueOf(field: Field): fc.Arbitrary<unknown> {
  const message = messageIn(field);
  if (message !== null) return messageOf(message);
  const values = enumIn(field);
  if (values !== null) return fc.constantFrom(...Object.keys(values));
  switch (field.type) {
    case 'string':
      return word;
    case 'bytes':
      return fc.uint8Array({ maxLength: 20 }).map(bytes => Buffer.from(bytes).toString('base64'));
    case 'bool':
      return fc.boolean();
    case 'int32':
      return fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    case 'uint32':
      return fc.integer({ min: 0, max: 2 ** 32 - 1 });
    case 'int64':
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
    case 'uint64':
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
    default:
      throw new Error(`no values for ${field.type}`);
  }
}

function fieldOf(field: Field): fc.Arbitrary<unknown> {
  const value = valueOf(field);
  if (field.repeated) return fc.array(value, { maxLength: 2 });
  if (!field.map) return value;
  const key = fc.oneof(word, fc.constant('__proto__'));
  return fc.array(fc.tuple(key, value), { maxLength: 3 }).map(entries => Object.fromEntries(entries));
}

function messageOf(type: MessageType): fc.Arbitrary<Record<string, unknown>> {
  const fields = type.fieldsArray.map(field => [field.name, fieldOf(field)] as const);
  return fc.record(Object.fromEntries(fields), { noNullPrototype: true });
}

t.test('for every method, JSON becomes bytes and the same JSON again', async t => {
  for (const known of allMethods()) {
    const name = `${known.service}/${known.method}`;
    fc.assert(
      fc.property(messageOf(known.request), json =>
        isDeepStrictEqual(messageToJson(name, jsonToMessage(name, json), 'request'), json),
      ),
      { numRuns: 20 },
    );
  }
  t.pass();
});

t.test('the bytes are those the generated classes read', async t => {
  const bytes = jsonToMessage('CreateContainer', {
    container_id: 'c1',
    OCI: {
      Process: { Args: ['/bin/echo', 'hi'], OOMScoreAdj: '-9223372036854775808' },
      Annotations: { __proto__x: 'y' },
      Linux: { Resources: { Memory: { Limit: 1024 } }, Namespaces: [{ Type: 'pid' }] },
    },
  });
  const request = grpc.CreateContainerRequest.decode(bytes);
  t.equal(request.containerId, 'c1');
  t.strictSame(request.OCI?.Process?.Args, ['/bin/echo', 'hi']);
  t.equal(String(request.OCI?.Process?.OOMScoreAdj), '-9223372036854775808');
  t.equal(String(request.OCI?.Linux?.Resources?.Memory?.Limit), '1024');
});

t.test('field names are taken in camel case too, and null leaves a field out', async t => {
  const bytes = jsonToMessage('WaitProcess', { containerId: 'c1', exec_id: null });
  t.strictSame(messageToJson('WaitProcess', bytes, 'request'), { container_id: 'c1', exec_id: '' });
  t.equal(camelCase('io_service_bytes_recursive'), 'ioServiceBytesRecursive');
  t.equal(camelCase('OCI'), 'OCI');
});

t.test('an answer shows numbers and lists that are empty, and messages only when sent', async t => {
  t.strictSame(messageToJson('WaitProcess', Buffer.alloc(0)), { status: 0 });
  t.strictSame(messageToJson('ListInterfaces', Buffer.alloc(0)), { Interfaces: [] });
  t.strictSame(messageToJson('StatsContainer', Buffer.alloc(0)), { network_stats: [] });
  t.strictSame(messageToJson('Check', Buffer.from([8, 1])), { status: 'SERVING' });
  t.strictSame(
    messageToJson('Check', Buffer.from([8, 9])),
    { status: 9 },
    'an enum value newer than the schema',
  );
  t.strictSame(
    messageToJson('Check', Buffer.from([0x78, 1, 8, 1])),
    { status: 'SERVING' },
    'an unknown field',
  );
  t.strictSame(
    Object.keys(Object(messageToJson('CreateContainer', Buffer.alloc(0), 'request'))).slice(0, 3),
    ['container_id', 'exec_id', 'devices'],
    'in the order of the .proto file',
  );
  t.strictSame(messageToJson('MemAgentMemcgSet', Buffer.from([8, 0]), 'request'), { disabled: false });
});

t.test('numbers sent one by one or packed are read alike', async t => {
  t.strictSame(messageToJson('AddSwap', Buffer.from([0x0a, 2, 1, 2]), 'request'), { PCIPath: [1, 2] });
  t.strictSame(messageToJson('AddSwap', Buffer.from([8, 1, 8, 2]), 'request'), { PCIPath: [1, 2] });
});

t.test('JSON that does not fit is refused with the path and what would fit', async t => {
  const rows: readonly (readonly [string, unknown, RegExp, RegExp?])[] = [
    [
      'WaitProcess',
      { containerid: 'x' },
      /WaitProcess has no field "containerid"/,
      /has container_id, exec_id/,
    ],
    ['DestroySandbox', { a: 1 }, /no field "a"/, /has no fields/],
    ['WaitProcess', { container_id: 'x', containerId: 'y' }, /container_id is given twice/],
    ['WaitProcess', { container_id: 7 }, /WaitProcess\.container_id is 7, not a string/],
    ['WaitProcess', { container_id: '\ud800' }, /not a string of whole characters/],
    ['WaitProcess', [], /WaitProcess is \[\], not an object/],
    ['WaitProcess', 'x', /WaitProcess is "x", not an object/],
    ['SignalProcess', { signal: -1 }, /not a whole number from 0 to 4294967295/],
    ['SignalProcess', { signal: 1.5 }, /not a whole number/],
    ['SignalProcess', { signal: '0x9' }, /not a whole number/],
    ['SetGuestDateTime', { Sec: 2 ** 53 }, /in quotes when it is this long/],
    ['SetGuestDateTime', { Sec: '9223372036854775808' }, /not a whole number from -9223372036854775808/],
    ['CreateContainer', { sandbox_pidns: 'yes' }, /not true or false/],
    ['CreateContainer', { OCI: { Process: { Args: 'ls' } } }, /OCI\.Process\.Args is "ls", not a list/],
    ['CreateContainer', { OCI: { Annotations: ['a'] } }, /OCI\.Annotations is \["a"\], not an object/],
    [
      'CreateContainer',
      { OCI: { Mounts: [{ sorce: '' }] } },
      /OCI\.Mounts\[0\] has no field "sorce"/,
      /source/,
    ],
    ['WriteStdin', { data: 'a' }, /not bytes as base64/],
    ['WriteStdin', { data: 'YWJj\n' }, /not bytes as base64/],
    ['UpdateInterface', { interface: { IPAddresses: [{ family: 'v5' }] } }, /not one of v4, v6/],
  ];
  for (const [method, json, message, hint] of rows) {
    t.throws(() => jsonToMessage(method, json), {
      code: 'ERR_AGENT_BAD_JSON',
      message,
      ...(hint && { hint }),
    });
  }
  const key: unknown = JSON.parse('{"__proto__": {"container_id": "x"}}');
  t.throws(() => jsonToMessage('WaitProcess', key), {
    code: 'ERR_AGENT_BAD_JSON',
    message: /no field "__proto__"/,
  });
});

t.test('an answer that is cut or garbled is refused, never half shown', async t => {
  const whole = jsonToMessage('CreateContainer', {
    container_id: 'c',
    OCI: { Hostname: 'h', Annotations: { a: 'b' } },
  });
  let refused = 0;
  for (let cut = 1; cut < whole.length; cut++) {
    try {
      messageToJson('CreateContainer', whole.subarray(0, cut), 'request');
    } catch (error) {
      t.match(error, {
        code: 'ERR_AGENT_BAD_MESSAGE',
        message: /the request of CreateContainer cannot be read/,
      });
      refused += 1;
    }
  }
  t.equal(refused, whole.length - 2, 'all cuts but the one between the two fields');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
      try {
        messageToJson('CreateContainer', bytes, 'request');
      } catch (error) {
        t.match(error, { code: 'ERR_AGENT_BAD_MESSAGE' });
      }
    }),
    { numRuns: 500 },
  );
});

t.test(
  'a method is found bare or with its service, and a wrong name is answered with the right ones',
  async t => {
    t.match(findMethod('CreateContainer'), { service: 'grpc.AgentService', method: 'CreateContainer' });
    t.match(findMethod('Version'), { service: 'grpc.Health' });
    t.match(findMethod('hypervisor.Hypervisor/Version'), { service: 'hypervisor.Hypervisor' });
    t.strictSame(findMethod('GetInfo').request, [
      { name: 'PodName', type: 'string' },
      { name: 'PodNamespace', type: 'string' },
      { name: 'Wait', type: 'bool' },
    ]);
    t.throws(() => findMethod('createcontainer'), {
      code: 'ERR_AGENT_UNKNOWN_METHOD',
      hint: 'it is spelt CreateContainer',
    });
    t.throws(() => findMethod('grpc.Health/CreateContainer'), {
      code: 'ERR_AGENT_UNKNOWN_METHOD',
      hint: /grpc\.AgentService/,
    });
    t.throws(() => findMethod('Nope'), {
      code: 'ERR_AGENT_UNKNOWN_METHOD',
      hint: /the agent has CreateContainer, /,
    });
    t.equal(listMethods().length, 53);
  },
);
