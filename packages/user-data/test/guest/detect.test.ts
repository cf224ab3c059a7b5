// SPDX-License-Identifier: Apache-2.0
// Which source a machine has: what firmware says, and what it does not.
import t from 'tap';
import { detectSource } from '../../src/guest/detect.js';
import type { Machine } from '../../src/guest/machine.js';

const machine = (said: Partial<Machine> = {}): Machine => ({
  vendor: '',
  product: '',
  chassisTag: '',
  ...said,
});

t.test('each cloud is known by what its machines say', async t => {
  const rows: readonly [Partial<Machine>, string, RegExp][] = [
    [
      {
        vendor: 'Microsoft Corporation',
        product: 'Virtual Machine',
        chassisTag: '7783-7084-3265-9085-8269-3286-77',
      },
      'azure',
      /chassis asset tag 7783/,
    ],
    [{ vendor: 'Amazon EC2', product: 'm6a.large' }, 'aws', /manufacturer Amazon EC2/],
    [{ vendor: 'Google', product: 'Google Compute Engine' }, 'gcp', /product Google Compute Engine/],
    [{ vendor: 'Alibaba Cloud', product: 'Alibaba Cloud ECS' }, 'alibaba', /manufacturer Alibaba Cloud/],
  ];
  for (const [said, source, evidence] of rows)
    t.match(detectSource(machine(said), false), { source, evidence });
});

t.test('a seed file goes before any cloud', async t => {
  t.match(detectSource(machine({ vendor: 'Amazon EC2' }), true), {
    source: 'file',
    evidence: 'the seed file is there',
  });
});

t.test(
  'other machines wait for a seed file: plain Hyper-V, a laptop of Google, QEMU, one that says nothing',
  async t => {
    const rows: readonly [Partial<Machine>, RegExp][] = [
      [
        { vendor: 'Microsoft Corporation', product: 'Virtual Machine', chassisTag: '1' },
        /Microsoft .* no known cloud/,
      ],
      [{ vendor: 'Google', product: 'Eve' }, /no known cloud/],
      [{ vendor: 'QEMU', product: 'Standard PC' }, /QEMU is no known cloud/],
      [{}, /does not say/],
    ];
    for (const [said, evidence] of rows)
      t.match(detectSource(machine(said), false), { source: 'file', evidence });
  },
);
