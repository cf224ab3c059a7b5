// SPDX-License-Identifier: Apache-2.0
// The service the vectors speak of, with bare bytes for messages, and a server for it on a real Unix socket.
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  bidi,
  clientStream,
  defineService,
  implement,
  serverStream,
  TtrpcServer,
  unary,
} from '../../src/index.js';
import type { Handlers, ServerConnection, TtrpcServerOptions } from '../../src/index.js';

/** A message that is just its bytes. */
export const bytes = {
  encode: (message: Uint8Array) => ({ finish: () => message }),
  decode: (message: Uint8Array) => message,
};

export const echo = defineService('test.Echo', {
  Say: unary(bytes, bytes),
  Wait: unary(bytes, bytes),
  Fail: unary(bytes, bytes),
  Join: clientStream(bytes, bytes),
  Hold: clientStream(bytes, bytes),
  Split: serverStream(bytes, bytes),
  Repeat: bidi(bytes, bytes),
});

/** For handlers that never answer. Nothing waits for it, so it keeps no process alive. */
const never = new Promise<never>(() => {});

const echoHandlers: Handlers<typeof echo> = {
  Say: request => request,
  Wait: () => never,
  Fail: () => {
    throw new Error('the handler gave up');
  },
  async Join(requests) {
    const all: Uint8Array[] = [];
    for await (const request of requests) all.push(request);
    return Buffer.concat(all);
  },
  Hold: () => never,
  async *Split(request) {
    for (const byte of request) yield Buffer.of(byte);
  },
  async *Repeat(requests) {
    for await (const request of requests) yield request;
  },
};

export interface Running {
  readonly path: string;
  readonly server: TtrpcServer;
  readonly listener: Server;
  /** Connections in the order they were accepted. */
  readonly accepted: ServerConnection[];
  connect(): Promise<Socket>;
  stop(): Promise<void>;
}

export interface EchoOptions extends Omit<TtrpcServerOptions, 'services'> {
  readonly handlers?: Partial<Handlers<typeof echo>>;
}

/** Serves the echo service on a Unix socket until stopped. */
export function runEcho(o: EchoOptions = {}): Promise<Running> {
  const { handlers, ...options } = o;
  return run(new TtrpcServer({ ...options, services: [implement(echo, { ...echoHandlers, ...handlers })] }));
}

export async function run(server: TtrpcServer): Promise<Running> {
  const directory = mkdtempSync(join(tmpdir(), 'ttrpc-'));
  const path = join(directory, 's');
  const accepted: ServerConnection[] = [];
  const listener = createServer(socket => accepted.push(server.serve(socket, 'the peer')));
  await new Promise<void>(resolve => {
    listener.listen(path, resolve);
  });
  return {
    path,
    server,
    listener,
    accepted,
    connect: () =>
      new Promise((resolve, reject) => {
        const socket = connect(path, () => resolve(socket));
        socket.on('error', reject);
      }),
    async stop() {
      server.destroy();
      await new Promise(resolve => {
        listener.close(resolve);
      });
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
