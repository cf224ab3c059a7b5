// SPDX-License-Identifier: Apache-2.0
// Turns the `@name` spelling of an abstract Unix socket into what Node wants, and finds out whether this Node can
// address such a socket as its other users do. No connection to the agent is made here.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';

import { ForwarderError } from './errors.js';

/** Node's spelling of a socket address given on the command line: a leading `@` is the NUL of an abstract name. */
export function socketAddress(flag: string): string {
  return flag.startsWith('@') ? `\0${flag.slice(1)}` : flag;
}

/**
 * Node 20 (libuv's `uv_pipe_bind` and `uv_pipe_connect`) pads an abstract name with NUL bytes to the full length of
 * the address, while Go and Rust use the name's own length, so the two never meet. Found out by asking the kernel for
 * the name of a socket made for the purpose.
 */
export async function padsAbstractNames(): Promise<boolean> {
  const name = `peerpod-probe-${randomBytes(8).toString('hex')}`;
  const server = createServer();
  server.listen(`\0${name}`);
  await once(server, 'listening');
  try {
    const sockets = await readFile('/proc/net/unix', 'utf8');
    return sockets.split('\n').some(line => line.includes(`@${name}@`));
  } finally {
    server.close();
  }
}

/** @throws ForwarderError ERR_FORWARDER_ABSTRACT_SOCKET when this Node cannot reach the socket the flag names. */
export async function checkAgentSocket(flag: string): Promise<void> {
  if (!flag.startsWith('@') || !(await padsAbstractNames())) return;
  throw new ForwarderError(
    'ERR_FORWARDER_ABSTRACT_SOCKET',
    `-kata-agent-socket ${flag} is an abstract socket, and Node ${process.version} cannot connect to one that another program made`,
    { hint: 'let the agent listen on a path, or run the forwarder with a newer Node (24 can)' },
  );
}
