// SPDX-License-Identifier: Apache-2.0
// The wary reader of small files that others put there: never waits for a pipe, never reads more than it was told to
// expect, and names the path in every refusal. What is in them is the caller's affair.
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { codeOf, FileError, messageOf, type FileErrorCode } from './errors.js';

export interface ReadFileOptions {
  /** More than this many bytes are refused. */
  readonly maxBytes: number;
  /** Refuse a link as the last part of the path. Default false: links are followed. */
  readonly noFollow?: boolean;
}

export interface SmallFile {
  readonly bytes: Buffer;
  /** Of the file that was read, not of what is at the path by now. */
  readonly stat: Stats;
}

const failures: Readonly<Record<string, readonly [FileErrorCode, string]>> = {
  ENOENT: ['ERR_FILE_MISSING', 'is not there'],
  ENOTDIR: ['ERR_FILE_MISSING', 'is not there: a part of its path is no directory'],
  EACCES: ['ERR_FILE_UNREADABLE', 'may not be read by this user'],
  EPERM: ['ERR_FILE_UNREADABLE', 'may not be read by this user'],
  ELOOP: ['ERR_FILE_UNREADABLE', 'is a link that may not be followed or leads in a circle'],
  ENXIO: ['ERR_FILE_NOT_REGULAR', 'is not a regular file'],
};

/**
 * The bytes of a regular file, and what it was when they were read.
 * @throws FileError ERR_FILE_MISSING, ERR_FILE_UNREADABLE, ERR_FILE_NOT_REGULAR or ERR_FILE_TOO_BIG
 */
export function readSmallFile(path: string, options: ReadFileOptions): SmallFile {
  let fd: number | undefined;
  try {
    // Without O_NONBLOCK a pipe nobody writes to would hold the program here for ever.
    fd = openSync(
      path,
      constants.O_RDONLY | constants.O_NONBLOCK | (options.noFollow === true ? constants.O_NOFOLLOW : 0),
    );
    return readOpen(fd, path, options.maxBytes);
  } catch (error) {
    if (error instanceof FileError) throw error;
    const [code, text] = failures[codeOf(error)] ?? [
      'ERR_FILE_UNREADABLE',
      `cannot be read (${codeOf(error) || messageOf(error)})`,
    ];
    throw new FileError(code, `${path} ${text}`, { cause: error });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function readOpen(fd: number, path: string, maxBytes: number): SmallFile {
  const stat = fstatSync(fd);
  if (!stat.isFile()) {
    const what = stat.isDirectory() ? 'a directory' : 'not a regular file';
    throw new FileError('ERR_FILE_NOT_REGULAR', `${path} is ${what}`);
  }
  // One byte more than expected shows a file that grew; its size is a claim (0 below /proc).
  const pieces: Buffer[] = [];
  let length = 0;
  for (;;) {
    const piece = Buffer.allocUnsafe(Math.min(maxBytes + 1 - length, Math.max(4096, stat.size + 1)));
    const n = readSync(fd, piece, 0, piece.length, null);
    if (n === 0) break;
    pieces.push(piece.subarray(0, n));
    length += n;
    if (length > maxBytes) {
      throw new FileError('ERR_FILE_TOO_BIG', `${path} is bigger than the ${maxBytes} bytes allowed`);
    }
  }
  return { bytes: Buffer.concat(pieces, length), stat };
}
