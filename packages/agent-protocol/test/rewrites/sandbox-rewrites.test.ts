// SPDX-License-Identifier: Apache-2.0
import * as fc from 'fast-check';
import t from 'tap';
import { withoutSandboxDns } from '../../src/rewrites/sandbox-rewrites.js';
import { encodeModel, message, text, unknownField, type ModelField } from '../wire-model.js';

const sandboxField: fc.Arbitrary<ModelField> = fc.oneof(
  unknownField,
  fc.string().map(line => text(2, line)),
  fc.constant(text(1, 'host')),
  fc.constant(message(3, text(2, 'not dns'))),
);

t.test('every dns line goes and nothing else changes', async t => {
  fc.assert(
    fc.property(fc.array(sandboxField, { maxLength: 12 }), fields => {
      const original = encodeModel(fields);
      const rest = fields.filter(field => field.number !== 2);
      const result = withoutSandboxDns(original);
      if (rest.length === fields.length) return result.t === 'same';
      return result.t === 'replaced' && encodeModel(rest).equals(result.message);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test('a dns field of another wire type, and a cut message, are refused', async t => {
  t.match(withoutSandboxDns(Buffer.from([0x10, 0x01])), {
    t: 'refused',
    status: 3,
    reason: /dns has wire type 0/,
  });
  t.match(withoutSandboxDns(Buffer.from([0x12, 0x05, 0x61])), {
    t: 'refused',
    status: 3,
    reason: /past the end/,
  });
});
