// SPDX-License-Identifier: Apache-2.0
// CopyFile: files, directories and links that the shim brings into the guest, piece by piece. Writes below the root only.
import { constants } from 'node:fs';
import { chmod, chown, open, rename, rm, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { grpc } from '@peerpod-tls/agent-protocol';
import { makeDirectory } from '@peerpod-tls/base';
import { ensureGuestDirectory, resolveGuestPath } from './guest-path.js';
import { failedPrecondition, invalidArgument, systemError } from './guest-status.js';

/** The directory the shim shares with the guest; kata-agent takes files nowhere else. */
const SHARED = '/run/kata-containers/';
/** Set-user-id and its kin would count here, where nothing is isolated, so they are left out. */
const PERMISSIONS = 0o777;
const MAX_FILE = Number.MAX_SAFE_INTEGER;

/** @throws StatusError for a path outside the shared directory, pieces out of order, and the system's errors */
export async function copyFile(root: string, request: grpc.CopyFileRequest): Promise<void> {
  const { path } = request;
  if (!path.startsWith(SHARED))
    throw invalidArgument(`${JSON.stringify(path.slice(0, 256))} is not under ${SHARED}`);
  const target = resolveGuestPath(root, path);
  ensureGuestDirectory(root, dirname(path), (request.dirMode || 0o755) & PERMISSIONS);
  try {
    await place(target, request);
  } catch (error) {
    if (error instanceof Error && 'status' in error) throw error;
    throw systemError(`cannot write ${path}`, error);
  }
}

async function place(target: string, request: grpc.CopyFileRequest): Promise<void> {
  const mode = request.fileMode & PERMISSIONS;
  switch (request.fileMode & constants.S_IFMT) {
    case constants.S_IFDIR:
      makeDirectory(target);
      await chmod(target, mode);
      return own(target, request);
    case constants.S_IFLNK: {
      const aside = besides(target);
      await rm(aside, { force: true });
      await symlink(Buffer.from(request.data), aside);
      return rename(aside, target);
    }
    case constants.S_IFREG:
    case 0:
      return writePiece(target, request, mode);
    default:
      throw invalidArgument(
        `file_mode 0${request.fileMode.toString(8)} is no file, directory or symbolic link`,
      );
  }
}

/** Pieces gather beside the target; the one that completes the file renames it into place. */
async function writePiece(target: string, request: grpc.CopyFileRequest, mode: number): Promise<void> {
  const size = whole('file_size', request.fileSize);
  const offset = whole('offset', request.offset);
  if (offset + request.data.length > size) {
    throw invalidArgument(`the piece at ${offset} goes beyond the file_size of ${size}`);
  }
  const aside = besides(target);
  const has =
    offset === 0
      ? 0
      : await stat(aside).then(
          ({ size }) => size,
          () => 0,
        );
  if (has !== offset)
    throw failedPrecondition(`the piece at ${offset} does not follow the ${has} bytes that are here`);
  const flags =
    constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | (offset === 0 ? constants.O_TRUNC : 0);
  const file = await open(aside, flags, 0o600);
  try {
    let written = 0;
    while (written < request.data.length) {
      const step = await file.write(request.data, written, request.data.length - written, offset + written);
      written += step.bytesWritten;
    }
  } finally {
    await file.close();
  }
  if (offset + request.data.length < size) return;
  await chmod(aside, mode);
  await own(aside, request);
  await rename(aside, target);
}

function besides(target: string): string {
  return join(dirname(target), `.${basename(target)}.copying`);
}

/** Only root can give files away; for anybody else they stay his own. */
async function own(target: string, request: grpc.CopyFileRequest): Promise<void> {
  if (process.geteuid?.() === 0) await chown(target, request.uid, request.gid);
}

function whole(field: string, value: { toNumber(): number } | number): number {
  const number = typeof value === 'number' ? value : value.toNumber();
  if (number < 0 || number > MAX_FILE) throw invalidArgument(`${field} ${number} is out of range`);
  return number;
}
