// SPDX-License-Identifier: Apache-2.0
// The strings of the firmware, where the kernel shows them.
import t from 'tap';
import { describeMachine } from '../../src/guest/machine.js';

t.test('strings are read without their line break; what is missing is empty', async t => {
  const root = t.testdir({
    sys: { class: { dmi: { id: { sys_vendor: 'Amazon EC2\n', chassis_asset_tag: '  \n' } } } },
  });
  t.strictSame(await describeMachine(root), { vendor: 'Amazon EC2', product: '', chassisTag: '' });
  t.strictSame(await describeMachine(t.testdir({})), { vendor: '', product: '', chassisTag: '' });
});
