// SPDX-License-Identifier: Apache-2.0
// From an unpacked tree to an ext4 disk: no loop device, no mount, and the same bytes for the same files.
import { createHash } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  lutimesSync,
  openSync,
  readdirSync,
  lstatSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { step } from './step.mjs';

/** Where the file system's own identity comes from, so that it is not drawn anew for each build. */
const NAMESPACE = 'peerpod-tls pod VM';

/**
 * @param {string} tree
 * @param {string} disk made anew
 * @param {{sizeMiB: number, epoch: number, format: string}} options epoch in seconds
 */
export function makeDisk(tree, disk, { sizeMiB, epoch, format }) {
  const inodes = stamp(tree, epoch);
  const raw = format === 'raw' ? disk : `${disk}.raw`;
  rmSync(raw, { force: true });
  const fd = openSync(raw, 'wx', 0o644);
  ftruncateSync(fd, sizeMiB * 1024 * 1024);
  closeSync(fd);
  const fake = { E2FSPROGS_FAKE_TIME: String(epoch), SOURCE_DATE_EPOCH: String(epoch) };
  const uuid = uuidOf(`${NAMESPACE} root`);
  step(
    'mke2fs',
    [
      '-q',
      '-F',
      '-t',
      'ext4',
      '-L',
      'podvm',
      '-U',
      uuid,
      '-m',
      '0',
      // A journal protects a file system over power cuts; this one is thrown away with its pod.
      '-O',
      '^has_journal,^metadata_csum_seed',
      '-N',
      String(Math.max(32_768, inodes * 2)),
      '-E',
      `hash_seed=${uuidOf(`${NAMESPACE} hash`)},lazy_itable_init=0,nodiscard,root_owner=0:0`,
      '-d',
      tree,
      raw,
    ],
    fake,
  );
  // The moment a file was unpacked is no property of the image.
  const first = 11;
  const fields = Array.from({ length: inodes + first }, (_, i) => `sif <${i + 2}> ctime @${epoch}`).join(
    '\n',
  );
  const commands = `${disk}.fields`;
  writeFileSync(commands, `${fields}\n`);
  step('debugfs', ['-w', '-f', commands, raw], fake);
  rmSync(commands);
  if (format === 'qcow2') {
    step('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '-c', raw, disk]);
    rmSync(raw);
  }
}

/** Gives everything in the tree one time unless it is older; counts it. */
function stamp(folder, epoch) {
  let count = 1;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const found = lstatSync(path);
    if (found.isDirectory()) count += stamp(path, epoch);
    else count += 1;
    const time = Math.min(epoch, Math.floor(found.mtimeMs / 1000));
    lutimesSync(path, epoch, found.isDirectory() ? epoch : time);
  }
  return count;
}

/** A UUID told by a name (RFC 9562, version 8 layout). */
function uuidOf(name) {
  const bytes = createHash('sha256').update(name).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
