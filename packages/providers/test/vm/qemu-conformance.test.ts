// SPDX-License-Identifier: Apache-2.0
// The shared suite on the provider `qemu`. Its guests are real: a kernel that mounts the seed disk and says what it read.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { conformance } from '../kit/conformance.js';
import { realUserData } from '../kit/user-data.js';
import { leftoversIn, makeProvider, makeReader, vmDirectories, whatReaderRead } from '../kit/qemu-world.js';
import { copyOf, sharedImage } from '../kit/vm-image.js';
import { vmTest } from '../kit/vm-test.js';

const BOOT_MS = 60_000;
vmTest('qemu', { machines: 1 }, async (t, directory) => {
  const data = path.join(directory, 'vms');
  const image = copyOf(sharedImage(), path.join(directory, 'image'));
  makeReader(image);
  mkdirSync(path.join(directory, 'broken'));
  const broken = path.join(directory, 'broken', 'disk.img');
  // qcow2 by its first bytes alone: taken by the provider, refused by qemu when the machine's files are made.
  writeFileSync(broken, Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.alloc(1 << 20)]));

  const { userData, secret } = await realUserData('podvm-conformance');

  await conformance(t, {
    // Nothing on the way may take it for text: not the disk, not the file system, not the guest.
    userData: `${userData}# \u00e9\u2028\ud83d\ude00 "\\ \t\r\n\r\n  \n`,
    secret,
    provider: log => makeProvider(directory, image, log),
    stranger: log => makeProvider(directory, image, log, 'others'),
    broken: async log => ({ provider: await makeProvider(directory, broken, log) }),
    readUserData: async ({ id }) => {
      const vm = vmDirectories(directory).find(at => path.basename(at) === id);
      if (vm === undefined) throw new Error(`there is no machine ${id}`);
      return whatReaderRead(vm, BOOT_MS);
    },
    leftovers: () => leftoversIn(data),
    middleMs: 50,
  });
});
