// SPDX-License-Identifier: Apache-2.0
// Checks a sandbox id before it meets a path: which characters, how long, and whether its socket path can be bound.
import { lstatSync } from 'node:fs';
import path from 'node:path';
import { MAX_SOCKET_PATH } from '@peerpod-tls/daemon';
import { AdaptorError } from '../errors.js';

/** Name of the socket in a sandbox's directory; the shim gets it in CreateVM's answer. */
const AGENT_SOCKET = 'agent.ttrpc';

const ALLOWED = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const MAX_ID_LENGTH = 128;

/**
 * Checks an id against the allow-list (letters, digits, `_`, `.`, `-`, beginning with a letter or digit; so no path
 * separator, no `..`, and nothing that could meet the adaptor's own dot-directories).
 * Throws `ERR_ADAPTOR_SANDBOX_ID`.
 */
export function checkSandboxId(id: string, podsDir: string): void {
  if (id === '') {
    throw new AdaptorError('ERR_ADAPTOR_SANDBOX_ID', 'empty sandbox id', {
      hint: 'CreateVM needs the id of the sandbox',
    });
  }
  if (id.length > MAX_ID_LENGTH) {
    throw new AdaptorError(
      'ERR_ADAPTOR_SANDBOX_ID',
      `the sandbox id has ${id.length} characters, at most ${MAX_ID_LENGTH} are allowed`,
    );
  }
  if (!ALLOWED.test(id)) {
    throw new AdaptorError(
      'ERR_ADAPTOR_SANDBOX_ID',
      `the sandbox id ${JSON.stringify(id)} cannot name a directory`,
      {
        hint: 'an id is made of letters, digits, "_", "." and "-", and begins with a letter or a digit',
      },
    );
  }
  const socket = agentSocketPath(podsDir, id);
  const bytes = Buffer.byteLength(socket);
  if (bytes > MAX_SOCKET_PATH) {
    throw new AdaptorError(
      'ERR_ADAPTOR_SANDBOX_ID',
      `the socket path of sandbox ${id} would have ${bytes} bytes, a Unix socket takes ${MAX_SOCKET_PATH}: ${socket}`,
      { hint: 'give a shorter -pods-dir' },
    );
  }
}

export function sandboxDirectory(podsDir: string, id: string): string {
  return path.join(podsDir, id);
}

/**
 * Refuses whatever is at the place of a sandbox's directory and is no directory of its own: a link would have its socket
 * bound, and served, where somebody else said. Throws `ERR_ADAPTOR_SANDBOX_DIR`.
 */
export function checkSandboxDirectory(podsDir: string, id: string): void {
  const directory = sandboxDirectory(podsDir, id);
  const found = lstatSync(directory, { throwIfNoEntry: false });
  if (found === undefined || found.isDirectory()) return;
  throw new AdaptorError(
    'ERR_ADAPTOR_SANDBOX_DIR',
    `${directory} is ${found.isSymbolicLink() ? 'a link' : 'no directory'}, and not followed`,
    { hint: 'remove it: the adaptor makes the directory of a sandbox by itself' },
  );
}

export function agentSocketPath(podsDir: string, id: string): string {
  return path.join(podsDir, id, AGENT_SOCKET);
}
