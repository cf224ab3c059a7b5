// SPDX-License-Identifier: Apache-2.0
// Extra files of a pod VM image, laid over a tree that stands for the unpacked one.
import { chmodSync, existsSync, lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { layOverlay } from '../scripts/podvm/overlay.mjs';

t.test(
  'extra files lie where they were laid out, with their right to be run, and links stay links',
  async t => {
    const places = t.testdir({
      tree: { etc: { 'agent-config.toml': 'ours' }, usr: { local: { bin: {} } } },
      overlay: {
        etc: { 'agent-config.toml': 'theirs' },
        pause_bundle: { rootfs: { pause: 'ELF' }, link: t.fixture('symlink', 'rootfs/pause') },
      },
    });
    const tree = join(places, 'tree');
    const overlay = join(places, 'overlay');
    chmodSync(join(overlay, 'pause_bundle/rootfs/pause'), 0o4700);
    const placed = layOverlay(tree, overlay);
    t.equal(readFileSync(join(tree, 'etc/agent-config.toml'), 'utf8'), 'theirs');
    t.equal(lstatSync(join(tree, 'etc/agent-config.toml')).mode & 0o7777, 0o644);
    t.equal(lstatSync(join(tree, 'pause_bundle/rootfs/pause')).mode & 0o7777, 0o755);
    t.equal(readlinkSync(join(tree, 'pause_bundle/link')), 'rootfs/pause');
    t.match(placed, {
      '/etc/agent-config.toml': /^[0-9a-f]{64}$/,
      '/pause_bundle/link': '-> rootfs/pause',
      '/pause_bundle/rootfs/pause': /^[0-9a-f]{64}$/,
    });
  },
);

t.test('an overlay that would leave the image, or go around a check, is refused by its path', async t => {
  const places = t.testdir({
    kept: { passwd: 'x' },
    tree: { bin: t.fixture('symlink', '../kept'), usr: { bin: {} }, file: '' },
    link: { bin: { passwd: 'evil' } },
    key: { etc: { certificates: { 'tls.key': '' } } },
    overDirectory: { usr: 'text' },
    overFile: { file: { a: '' } },
    empty: { nothing: {} },
  });
  const tree = join(places, 'tree');
  for (const [name, message] of [
    ['link', /bin\/, which is a link to/],
    ['key', /etc\/certificates\/tls\.key: .*--certificates/],
    ['overDirectory', /usr, which is a directory/],
    ['overFile', /file\/, which is a file/],
    ['empty', /holds no file/],
  ] as const) {
    t.throws(() => layOverlay(tree, join(places, name)), { message });
  }
  t.equal(readFileSync(join(places, 'kept/passwd'), 'utf8'), 'x');
  t.notOk(existsSync(join(tree, 'etc/certificates/tls.key')));
});
