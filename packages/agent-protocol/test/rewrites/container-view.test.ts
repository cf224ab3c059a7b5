// SPDX-License-Identifier: Apache-2.0
import * as fc from 'fast-check';
import t from 'tap';
import { grpc } from '../../gen/messages.js';
import { viewCreateContainer } from '../../src/rewrites/container-view.js';
import { createContainerModel, encodeModel, message, text } from '../wire-model.js';

t.test('the view says what protobuf decodes', async t => {
  fc.assert(
    fc.property(createContainerModel, model => {
      const bytes = encodeModel(model);
      const seen = viewCreateContainer(bytes);
      if (seen.t !== 'view') throw new Error(seen.reason);
      const decoded = grpc.CreateContainerRequest.decode(bytes);
      t.strictSame(seen.view, {
        containerId: decoded.containerId,
        hasOci: true,
        hasLinux: true,
        mounts: (decoded.OCI?.Mounts ?? []).map(({ destination, source, type }) => ({
          destination: destination ?? '',
          source: source ?? '',
          type: type ?? '',
        })),
        annotations: new Map(Object.entries(decoded.OCI?.Annotations ?? {})),
        namespaces: (decoded.OCI?.Linux?.Namespaces ?? []).map(({ Type, Path }) => ({
          type: Type ?? '',
          path: Path ?? '',
        })),
      });
    }),
    { numRuns: 200 },
  );
});

t.test('a request without OCI has empty lists and says so', async t => {
  const seen = viewCreateContainer(encodeModel([text(1, 'c1')]));
  t.match(seen, { t: 'view', view: { containerId: 'c1', hasOci: false, hasLinux: false, mounts: [] } });
});

t.test('two OCI parts, text that is no UTF-8 and absurd numbers of entries are refused', async t => {
  t.match(viewCreateContainer(encodeModel([message(6), message(6)])), {
    t: 'refused',
    status: 3,
    reason: /twice/,
  });
  const bad = encodeModel([message(6, message(5, { number: 2, t: 'bytes', bytes: Buffer.from([0xc0]) }))]);
  t.match(viewCreateContainer(bad), { t: 'refused', status: 3, reason: /OCI\.Mounts\.source is not UTF-8/ });
  const many = Buffer.alloc(2 * 65_537, Buffer.from([0x2a, 0x00]));
  const flood = encodeModel([{ number: 6, t: 'bytes', bytes: many }]);
  t.match(viewCreateContainer(flood), { t: 'refused', status: 8, reason: /Mounts has over 65536 entries/ });
});

t.test('random bytes never throw', async t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), bytes =>
      ['view', 'refused'].includes(viewCreateContainer(bytes).t),
    ),
    { numRuns: 2000 },
  );
  t.pass();
});
