// SPDX-License-Identifier: Apache-2.0
// The base image of pod VMs as the flags name it: which files belong together, and whether they are what they should
// be. Reads, never writes.
import { access, constants, open, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { messageOf } from '@peerpod-tls/base';
import { checkShape } from '@peerpod-tls/base/schema';
import * as v from 'valibot';
import { ProviderError } from '../errors.js';

export interface QemuImage {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  /** Null: the image starts by itself. */
  readonly kernel: {
    readonly path: string;
    readonly initrd: string | null;
    readonly arguments: string;
  } | null;
}

/** Of what the image's build wrote beside it. */
const manifestShape = v.object({ kernelArguments: v.string() });
/** For an image without a manifest. */
const KERNEL_ARGUMENTS = 'root=/dev/vda rw console=ttyS0 quiet panic=-1 net.ifnames=0';

/**
 * The image at `image` with the kernel given, or those beside it where its build put them.
 * @throws ProviderError ERR_PROVIDER_CONFIG naming the flag
 */
export async function findImage(
  image: string | undefined,
  kernel: string | undefined,
  initrd: string | undefined,
): Promise<QemuImage> {
  if (image === undefined) {
    throw new ProviderError('ERR_PROVIDER_CONFIG', 'the qemu provider needs a base image (-qemu-image)', {
      hint: 'build one with: node scripts/build-podvm-image.mjs',
    });
  }
  const path = resolve(image);
  const format = await formatOf(path);
  const beside = dirname(path);
  const found =
    kernel === undefined ? await present(join(beside, 'vmlinuz')) : await needed(kernel, '-qemu-kernel');
  if (found === null) {
    if (initrd !== undefined)
      throw new ProviderError('ERR_PROVIDER_CONFIG', '-qemu-initrd is given without -qemu-kernel');
    return { path, format, kernel: null };
  }
  return {
    path,
    format,
    kernel: {
      path: found,
      initrd:
        initrd === undefined
          ? await present(join(dirname(found), 'initrd.img'))
          : await needed(initrd, '-qemu-initrd'),
      arguments: await argumentsIn(join(beside, 'manifest.json')),
    },
  };
}

/** qcow2 by its first bytes; an ext4 or partitioned disk is raw and begins with anything else. */
async function formatOf(path: string): Promise<'raw' | 'qcow2'> {
  await needed(path, '-qemu-image');
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size < 1 << 20) {
      throw new ProviderError(
        'ERR_PROVIDER_CONFIG',
        `${path} (-qemu-image) has ${size} bytes: that is no disk`,
      );
    }
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.toString('latin1') === 'QFI\xfb' ? 'qcow2' : 'raw';
  } finally {
    await file.close();
  }
}

async function needed(path: string, flag: string): Promise<string> {
  const full = resolve(path);
  try {
    const file = await open(full, 'r');
    const stat = await file.stat().finally(() => file.close());
    if (!stat.isFile()) throw new Error('it is not a file');
    return full;
  } catch (error) {
    throw new ProviderError('ERR_PROVIDER_CONFIG', `${full} (${flag}) cannot be used: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

async function present(path: string): Promise<string | null> {
  return access(path, constants.R_OK).then(
    () => path,
    () => null,
  );
}

async function argumentsIn(manifest: string): Promise<string> {
  try {
    const checked = checkShape(manifestShape, JSON.parse(await readFile(manifest, 'utf8')));
    return checked.t === 'value' ? checked.value.kernelArguments : KERNEL_ARGUMENTS;
  } catch {
    // An image made otherwise has none.
    return KERNEL_ARGUMENTS;
  }
}
