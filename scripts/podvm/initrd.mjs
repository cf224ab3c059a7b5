// SPDX-License-Identifier: Apache-2.0
// The initial RAM disk of a pod VM: one static program, the few drivers that lead to the root disk, and a script of ten
// lines. Debian's own would search for disks with udev first, which is most of a boot under emulation.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from './options.mjs';
import { INITRD_MODULES } from './packages.mjs';

const INIT = `#!/bin/busybox sh
export PATH=/bin
busybox mount -t devtmpfs dev /dev
busybox mount -t proc proc /proc
while read -r module; do busybox insmod "$module"; done < /modules
root=/dev/vda
for word in $(busybox cat /proc/cmdline); do
  case $word in root=/dev/*) root=\${word#root=} ;; esac
done
tries=0
until [ -b "$root" ]; do
  tries=$((tries + 1))
  [ "$tries" -gt 100 ] && echo "initrd: there is no disk $root" && busybox poweroff -f
  busybox sleep 0.1
done
busybox mount -t ext4 -o rw,noatime "$root" /root || { echo "initrd: $root does not mount"; busybox poweroff -f; }
busybox umount /proc
busybox mount --move /dev /root/dev
exec busybox switch_root /root /sbin/init
`;

/**
 * The RAM disk for the kernel in `tree`, as an uncompressed cpio archive: unpacking would take longer than reading.
 * @param {string} tree
 * @param {string} kernel its version
 * @returns {Buffer}
 */
export function makeInitrd(tree, kernel) {
  const busybox = join(tree, 'usr/bin/busybox');
  const home = ['usr/lib/modules', 'lib/modules']
    .map(at => join(tree, at, kernel))
    .find(at => existsSync(at));
  if (home === undefined || !existsSync(busybox))
    throw new BuildError(`the packages hold no busybox or no modules of the kernel ${kernel}`);
  const modules = inOrder(home);
  const archive = new Cpio();
  for (const directory of ['bin', 'dev', 'proc', 'root', 'lib']) archive.directory(directory);
  archive.device('dev/console', 5, 1);
  archive.file('bin/busybox', readFileSync(busybox), 0o755);
  archive.file('init', Buffer.from(INIT), 0o755);
  for (const path of modules) archive.file(`lib/${nameOf(path)}.ko`, readFileSync(join(home, path)), 0o644);
  archive.file('modules', Buffer.from(modules.map(path => `/lib/${nameOf(path)}.ko\n`).join('')), 0o644);
  return archive.end();
}

const nameOf = path => path.slice(path.lastIndexOf('/') + 1).replace(/\.ko$/, '');

/** The drivers with all they depend on, each after what it needs (depmod's modules.dep: `path: dependencies`). */
function inOrder(home) {
  const lines = readFileSync(join(home, 'modules.dep'), 'utf8').split('\n');
  const needs = new Map(
    lines
      .filter(line => line.includes(':'))
      .map(line => {
        const [path = '', rest = ''] = line.split(':');
        return [
          path,
          rest
            .trim()
            .split(/\s+/)
            .filter(name => name !== ''),
        ];
      }),
  );
  const builtIn = readFileSync(join(home, 'modules.builtin'), 'utf8');
  const done = [];
  const add = path => {
    if (done.includes(path)) return;
    for (const needed of needs.get(path) ?? []) add(needed);
    done.push(path);
  };
  for (const name of INITRD_MODULES) {
    const path = [...needs.keys()].find(at => nameOf(at) === name);
    if (path !== undefined) add(path);
    else if (!builtIn.includes(`/${name}.ko`)) throw new BuildError(`the kernel has no module ${name}`);
  }
  return done;
}

/** A cpio archive in the "newc" form the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst). */
class Cpio {
  #parts = [];
  #inode = 1;

  directory(name) {
    this.#entry(name, 0o040755, Buffer.alloc(0), 0, 0);
  }

  file(name, content, mode) {
    this.#entry(name, 0o100000 | mode, content, 0, 0);
  }

  device(name, major, minor) {
    this.#entry(name, 0o020600, Buffer.alloc(0), major, minor);
  }

  end() {
    this.#entry('TRAILER!!!', 0, Buffer.alloc(0), 0, 0);
    const all = Buffer.concat(this.#parts);
    return Buffer.concat([all, Buffer.alloc((512 - (all.length % 512)) % 512)]);
  }

  #entry(name, mode, content, major, minor) {
    const fields = [this.#inode++, mode, 0, 0, 1, 0, content.length, 0, 0, major, minor, name.length + 1, 0];
    const head = `070701${fields.map(field => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
    this.#parts.push(padded(Buffer.from(head)), padded(content));
  }
}

const padded = bytes => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
