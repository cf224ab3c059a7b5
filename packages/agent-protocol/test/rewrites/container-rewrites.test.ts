// SPDX-License-Identifier: Apache-2.0
import * as fc from 'fast-check';
import t from 'tap';
import { grpc } from '../../gen/messages.js';
import { withAnnotations, withNetworkNamespace } from '../../src/rewrites/container-rewrites.js';
import type { RewriteResult } from '../../src/rewrites/rewrite-result.js';
import {
  annotationKey,
  createContainerModel,
  encodeModel,
  inside,
  lastText,
  message,
  text,
  varint,
  type ModelField,
} from '../wire-model.js';

const PATH = '/run/netns/podns';
const INVALID_ARGUMENT = 3;
const RESOURCE_EXHAUSTED = 8;

function resultBytes(original: Uint8Array, result: RewriteResult): Buffer | null {
  if (result.t === 'refused') return null;
  return Buffer.from(result.t === 'same' ? original : result.message);
}

/** The namespaces as the contract wants them: one of type network, where the first one was. */
function joined(fields: readonly ModelField[]): readonly ModelField[] {
  let kept = false;
  const out = fields.flatMap(field => {
    if (field.number !== 6 || lastText(field, 1) !== 'network' || field.t !== 'message') return [field];
    if (kept) return [];
    kept = true;
    if (lastText(field, 2) === PATH) return [field];
    return [{ ...field, fields: [...field.fields.filter(inner => inner.number !== 2), text(2, PATH)] }];
  });
  return kept ? out : [...out, message(6, text(1, 'network'), text(2, PATH))];
}

t.test('exactly one network namespace with the given path, and every other byte as it was', async t => {
  fc.assert(
    fc.property(createContainerModel, model => {
      const original = encodeModel(model);
      const copy = Buffer.from(original);
      const rewritten = resultBytes(original, withNetworkNamespace(original, PATH));
      const expected = encodeModel(inside(model, 6, oci => inside(oci, 8, joined)));
      return rewritten !== null && rewritten.equals(expected) && copy.equals(original);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test('what protobuf decodes differs in the namespaces and in nothing else', async t => {
  fc.assert(
    fc.property(createContainerModel, model => {
      const original = encodeModel(model);
      const rewritten = resultBytes(original, withNetworkNamespace(original, PATH)) ?? Buffer.alloc(0);
      const before = grpc.CreateContainerRequest.decode(original);
      const after = grpc.CreateContainerRequest.decode(rewritten);
      const namespaces = after.OCI?.Linux?.Namespaces ?? [];
      const network = namespaces.filter(namespace => namespace.Type === 'network');
      t.strictSame(
        network.map(namespace => namespace.Path),
        [PATH],
      );
      const others = (list: typeof namespaces) => list.filter(namespace => namespace.Type !== 'network');
      t.strictSame(others(namespaces), others(before.OCI?.Linux?.Namespaces ?? []));
      if (before.OCI?.Linux) before.OCI.Linux.Namespaces = [];
      if (after.OCI?.Linux) after.OCI.Linux.Namespaces = [];
      t.strictSame(after, before);
    }),
    { numRuns: 100 },
  );
});

t.test('running a rewrite on its own result changes nothing', async t => {
  fc.assert(
    fc.property(createContainerModel, annotationKey, fc.string(), (model, key, value) => {
      const network = resultBytes(encodeModel(model), withNetworkNamespace(encodeModel(model), PATH));
      if (network === null) return false;
      const set = new Map([[key, value.replaceAll(/\p{Surrogate}/gu, '?')]]);
      const both = resultBytes(network, withAnnotations(network, set));
      if (both === null) return false;
      return withNetworkNamespace(both, PATH).t === 'same' && withAnnotations(both, set).t === 'same';
    }),
  );
  t.pass();
});

t.test('an empty path leaves the request alone, even one without an OCI part', async t => {
  t.strictSame(withNetworkNamespace(Buffer.alloc(0), ''), { t: 'same' });
});

t.test('annotations are set in place or at the end, and every other byte stays', async t => {
  fc.assert(
    fc.property(createContainerModel, annotationKey, fc.string({ unit: 'grapheme' }), (model, key, value) => {
      const original = encodeModel(model);
      const rewritten = resultBytes(original, withAnnotations(original, new Map([[key, value]])));
      const entry = message(7, text(1, key), text(2, value));
      const expected = inside(model, 6, oci => {
        const mine = oci.filter(field => field.number === 7 && lastText(field, 1) === key);
        const last = mine.at(-1);
        if (last === undefined) return [...oci, entry];
        if (lastText(last, 2) === value) return oci;
        return oci.flatMap(field => (field === mine[0] ? [entry] : mine.includes(field) ? [] : [field]));
      });
      return rewritten !== null && rewritten.equals(encodeModel(expected));
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test('several annotations at once end up as protobuf decodes them', async t => {
  const original = encodeModel([
    message(
      6,
      message(7, text(1, 'b'), text(2, 'old')),
      message(7, text(1, 'keep'), text(2, 'me')),
      message(7, text(1, 'b'), text(2, 'older')),
    ),
  ]);
  const result = withAnnotations(
    original,
    new Map([
      ['new', '1'],
      ['b', '2'],
      ['__proto__', '3'],
    ]),
  );
  const rewritten = resultBytes(original, result) ?? Buffer.alloc(0);
  const annotations = grpc.CreateContainerRequest.decode(rewritten).OCI?.Annotations ?? {};
  t.strictSame(
    new Map(Object.entries(annotations)),
    new Map([
      ['b', '2'],
      ['keep', 'me'],
      ['new', '1'],
      ['__proto__', '3'],
    ]),
  );
});

t.test(
  'a request without the part a rewrite needs is refused with InvalidArgument, naming the part',
  async t => {
    const bare = encodeModel([text(1, 'c1')]);
    t.match(withNetworkNamespace(bare, PATH), { t: 'refused', status: INVALID_ARGUMENT, reason: /no OCI$/ });
    t.match(withAnnotations(bare, new Map([['a', 'b']])), {
      t: 'refused',
      status: INVALID_ARGUMENT,
      reason: /no OCI$/,
    });
    const noLinux = encodeModel([message(6, text(4, 'host'))]);
    t.match(withNetworkNamespace(noLinux, PATH), {
      t: 'refused',
      status: INVALID_ARGUMENT,
      reason: /no OCI\.Linux$/,
    });
  },
);

t.test('a second OCI or Linux part is refused: Go merges the two and kata-agent keeps the last', async t => {
  const linux = message(8, message(6, text(1, 'pid')));
  const twoOci = encodeModel([message(6, linux), message(6, linux)]);
  t.match(withNetworkNamespace(twoOci, PATH), {
    t: 'refused',
    status: INVALID_ARGUMENT,
    reason: /OCI appears twice/,
  });
  t.match(withAnnotations(twoOci, new Map([['a', 'b']])), { t: 'refused', reason: /OCI appears twice/ });
  const twoLinux = encodeModel([message(6, linux, linux)]);
  t.match(withNetworkNamespace(twoLinux, PATH), {
    t: 'refused',
    status: INVALID_ARGUMENT,
    reason: /OCI\.Linux appears twice/,
  });
});

t.test('hostile encodings on the way are refused, each with its reason', async t => {
  const wrap = (linux: Buffer) =>
    encodeModel([{ number: 6, t: 'message', fields: [{ number: 8, t: 'bytes', bytes: linux }] }]);
  const rows: readonly (readonly [string, Buffer, RegExp])[] = [
    ['OCI as a number', Buffer.concat([varint(6 * 8), varint(1)]), /OCI has wire type 0/],
    [
      'Linux as a number',
      encodeModel([message(6, { number: 8, t: 'raw', wireType: 0, raw: varint(1) })]),
      /Linux has wire type 0/,
    ],
    ['a namespace as a number', wrap(Buffer.from([0x30, 1])), /Namespaces has wire type 0/],
    ['a group', Buffer.concat([varint(7 * 8 + 3), varint(7 * 8 + 4)]), /wire type 3/],
    ['a group end', Buffer.from([0x3c]), /wire type 4/],
    ['field number 0', Buffer.from([0x02, 0x00]), /field number 0/],
    ['a tag over 32 bits', Buffer.from([0xb2, 0x80, 0x80, 0x80, 0x80, 0x00]), /tag is over 32 bits/],
    ['a tag whose fifth byte spills', Buffer.from([0xb2, 0x80, 0x80, 0x80, 0x10]), /tag is over 32 bits/],
    [
      'a length over 32 bits',
      Buffer.from([0x32, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
      /length is over 32 bits/,
    ],
    ['a length past the end', Buffer.from([0x32, 0xff, 0xff, 0xff, 0xff, 0x0f]), /runs past the end/],
    [
      'a number over 64 bits',
      Buffer.concat([varint(200 * 8), Buffer.alloc(9, 0xff), Buffer.from([0x02])]),
      /over 64 bits/,
    ],
    ['an inner length past the outer one', wrap(Buffer.from([0x32, 0x05, 0x0a])), /runs past the end/],
  ];
  for (const [name, bytes, reason] of rows) {
    t.match(withNetworkNamespace(bytes, PATH), { t: 'refused', status: INVALID_ARGUMENT, reason }, name);
  }
  const badPath = message(6, text(1, 'network'), { number: 2, t: 'bytes', bytes: Buffer.from([0xff]) });
  t.match(withNetworkNamespace(encodeModel([message(6, message(8, badPath))]), PATH), {
    t: 'refused',
    reason: /Path is not UTF-8/,
  });
  const badKey = encodeModel([message(6, message(7, { number: 1, t: 'bytes', bytes: Buffer.from([0xff]) }))]);
  t.match(withAnnotations(badKey, new Map([['a', 'b']])), { t: 'refused', reason: /key is not UTF-8/ });
});

t.test('lengths padded with needless bytes are read, and only those on the way are rewritten', async t => {
  const linux = Buffer.from([0x32, 0x85, 0x00, 0x0a, 0x03, 0x70, 0x69, 0x64]);
  const oci = Buffer.concat([Buffer.from([0x42, 0x88, 0x80, 0x00]), linux]);
  const original = Buffer.concat([
    Buffer.from([0x32, 0x8c, 0x80, 0x80, 0x00]),
    oci,
    Buffer.from([0x0a, 0x81, 0x00, 0x63]),
  ]);
  const rewritten = resultBytes(original, withNetworkNamespace(original, PATH)) ?? Buffer.alloc(0);
  const request = grpc.CreateContainerRequest.decode(rewritten);
  t.strictSame(
    request.OCI?.Linux?.Namespaces?.map(namespace => namespace.Type),
    ['pid', 'network'],
  );
  t.equal(request.containerId, 'c');
  t.ok(rewritten.includes(linux), 'the untouched namespace keeps its padding');
});

t.test('a request cut anywhere but between two of its fields is refused', async t => {
  const fields = [
    text(1, 'container'),
    message(
      6,
      message(5, text(1, '/a'), text(2, '/b')),
      message(7, text(1, 'k'), text(2, 'v')),
      message(8, message(6, text(1, 'network'), text(2, '/old'))),
    ),
    text(2, 'exec'),
    { number: 900, t: 'raw', wireType: 1, raw: Buffer.alloc(8) } as const,
  ];
  const bytes = encodeModel(fields);
  const boundaries = new Set(fields.map((_, index) => encodeModel(fields.slice(0, index + 1)).length));
  for (let cut = 1; cut < bytes.length; cut++) {
    const piece = bytes.subarray(0, cut);
    const network = withNetworkNamespace(piece, PATH);
    const annotations = withAnnotations(piece, new Map([['k', 'w']]));
    const whole = boundaries.has(cut) && cut > encodeModel(fields.slice(0, 1)).length;
    t.equal(network.t, whole ? 'replaced' : 'refused', `cut at ${cut}`);
    t.equal(annotations.t, whole ? 'replaced' : 'refused', `cut at ${cut}`);
  }
});

t.test(
  'random bytes never throw, and what protobuf could read it can still read after a rewrite',
  async t => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated()), bytes => {
        for (const result of [
          withNetworkNamespace(bytes, PATH),
          withAnnotations(bytes, new Map([['a', 'b']])),
        ]) {
          if (result.t !== 'replaced' || !readable(bytes)) continue;
          t.ok(readable(result.message));
        }
      }),
      { numRuns: 2000 },
    );
    t.pass();
  },
);

t.test('a rewrite that would pass four mebibytes is refused with ResourceExhausted', async t => {
  const full = (spare: number) => {
    const linux = message(8, message(6, text(1, 'pid')));
    const base = encodeModel([
      message(6, linux, { number: 300, t: 'bytes', bytes: Buffer.alloc(4_000_000) }),
    ]).length;
    return encodeModel([
      message(6, linux, {
        number: 300,
        t: 'bytes',
        bytes: Buffer.alloc(4_000_000 + 4_194_304 - spare - base),
      }),
    ]);
  };
  const growth = 2 + 9 + 2 + PATH.length;
  t.equal(full(growth).length, 4_194_304 - growth);
  t.match(withNetworkNamespace(full(growth), PATH), { t: 'replaced' });
  t.match(withNetworkNamespace(full(growth - 1), PATH), {
    t: 'refused',
    status: RESOURCE_EXHAUSTED,
    reason: /4194305 bytes/,
  });
});

function readable(bytes: Uint8Array): boolean {
  try {
    grpc.CreateContainerRequest.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** A valid request with one byte changed: far more of these get past the first field than random bytes do. */
function mutated(): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(createContainerModel, fc.nat(), fc.integer({ min: 0, max: 255 }))
    .map(([model, at, byte]) => {
      const bytes = encodeModel(model);
      bytes[at % bytes.length] = byte;
      return bytes;
    });
}
