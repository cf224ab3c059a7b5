// SPDX-License-Identifier: Apache-2.0
// How large user-data is and which file takes how much, before a platform refuses it in words of its own.
import { renderFileLines, type UserDataFile } from './cloud-config.js';

export interface UserDataSize {
  /** Of the finished text. */
  readonly bytes: number;
  /** What each file adds to it, with its indentation; the largest first. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
}

/** Length of what stands before the first file. */
const FRAME_BYTES = Buffer.byteLength('#cloud-config\n\nwrite_files:\n');

/** The size of what `renderCloudConfig` makes of these files, also when that is too large to be made. */
export function measureUserData(files: readonly UserDataFile[]): UserDataSize {
  const sizes = files.map(file => ({
    path: file.path,
    bytes: Buffer.byteLength(`${renderFileLines(file).join('\n')}\n`),
  }));
  const frame = files.length === 0 ? Buffer.byteLength('#cloud-config\n') : FRAME_BYTES;
  return {
    bytes: sizes.reduce((sum, { bytes }) => sum + bytes, frame),
    files: sizes.toSorted((a, b) => b.bytes - a.bytes),
  };
}

/** Like `/run/peerpod/initdata 14000 bytes, /run/peerpod/apf.json 2300 bytes`. */
export function sizesInWords(size: UserDataSize): string {
  return size.files.map(({ path, bytes }) => `${path} ${bytes} bytes`).join(', ');
}
