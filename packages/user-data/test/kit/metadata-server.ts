// SPDX-License-Identifier: Apache-2.0
// A metadata service of a test's own: real HTTP on a port of its own, answering each request by the test's rule.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';

interface Scope {
  teardown(fn: () => unknown): void;
}

export interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
}

export type Rule = (request: Seen, response: ServerResponse, count: number) => void;

/** Answers with the rule; gives its address and the requests it has seen. */
export async function serve(t: Scope, rule: Rule): Promise<{ endpoint: URL; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const { method, url, headers } = request;
    seen.push({ method, url, headers });
    rule({ method, url, headers }, response, seen.length);
  });
  t.teardown(() => server.closeAllConnections());
  return { endpoint: await listen(t, server), seen };
}

/** Writes these bytes to whoever connects, whatever is asked, and closes unless told to hang. */
export async function serveBytes(t: Scope, bytes: string, hang = false): Promise<URL> {
  const open = new Set<Socket>();
  const server = createTcpServer(socket => {
    open.add(socket.on('error', () => {}));
    socket.once('data', () => {
      socket.write(bytes);
      if (!hang) socket.end();
    });
  });
  t.teardown(() => open.forEach(socket => socket.destroy()));
  return listen(t, server);
}

async function listen(t: Scope, server: Server): Promise<URL> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  return new URL(`http://127.0.0.1:${port}`);
}
