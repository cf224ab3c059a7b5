// SPDX-License-Identifier: Apache-2.0
// Where the state lies when nobody says where, and what a person is told of a place that does not last.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { noSmallDisk, smallDisk } from '../../../providers/test/kit/small-disk.js';
import { temporary } from '../kit/adaptor.js';
import { defaultStateDir, stateWarnings, volatileKind } from '../../src/state/state-dir.js';

t.test('state of an earlier run is found where it was; without any, the durable place is taken', async t => {
  const top = temporary(t);
  mkdirSync(path.join(top, 'pods', '.state', 'sandboxes'), { recursive: true });
  mkdirSync(path.join(top, 'lib'));
  const pods = path.join(top, 'pods');
  const durable = path.join(top, 'lib', 'peerpod');
  t.equal(volatileKind(top), null, 'the temporary directory is on a disk here');
  t.equal(defaultStateDir(pods, durable), durable, 'empty directories hold no state');
  mkdirSync(durable, { mode: 0o700 });
  t.equal(defaultStateDir(pods, durable), durable);
  chmodSync(durable, 0o777);
  t.equal(defaultStateDir(pods, durable), path.join(pods, '.state'), 'others could write there');
  chmodSync(durable, 0o700);
  writeFileSync(path.join(pods, '.state', 'sandboxes', 'a.json'), '{}');
  t.equal(defaultStateDir(pods, durable), path.join(pods, '.state'), 'an upgrade loses no pod');
  t.equal(defaultStateDir(path.join(top, 'none'), '/nowhere/peerpod'), path.join(top, 'none', '.state'));
});

t.test(
  'a place that a reboot empties is no default, and is warned of by name',
  { skip: noSmallDisk() },
  async t => {
    const top = temporary(t);
    const lib = path.join(top, 'lib');
    mkdirSync(lib);
    smallDisk(t, lib, 'size=64k');
    const durable = path.join(lib, 'peerpod');
    t.equal(defaultStateDir(path.join(top, 'pods'), durable), path.join(top, 'pods', '.state'));
    const [warning, ...more] = stateWarnings(durable);
    t.match(warning, new RegExp(`${durable} lies on tmpfs and is lost with a reboot.*-state-dir`));
    t.strictSame(more, []);
    t.strictSame(stateWarnings(path.join(top, 'not', 'there', 'yet')), []);
  },
);
