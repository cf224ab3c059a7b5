// SPDX-License-Identifier: Apache-2.0
// A real ttrpc server on a Unix socket that answers health checks and echoes: the agent's end of a path under test.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { grpc, healthService } from '@peerpod-tls/agent-protocol';
import { defineService, implement, TtrpcServer, unary } from '@peerpod-tls/ttrpc';
import type { Test } from 'tap';
import { unixServer } from './frames.js';

const raw = { encode: (m: Uint8Array) => ({ finish: () => m }), decode: (b: Uint8Array) => b };

/** `test.Echo/Echo` gives back what it got. */
export const echoService = defineService('test.Echo', { Echo: unary(raw, raw) });

export async function healthyAgent(t: Test): Promise<{ readonly open: () => Promise<Socket> }> {
  const server = new TtrpcServer({
    services: [
      implement(healthService, {
        Check: () => ({ status: grpc.HealthCheckResponse.ServingStatus.SERVING }),
        Version: () => ({ grpcVersion: '0', agentVersion: 'test' }),
      }),
      implement(echoService, { Echo: message => Buffer.from(message) }),
    ],
  });
  const unix = await unixServer(socket => void server.serve(socket));
  t.teardown(async () => {
    server.destroy();
    await unix.close();
  });
  return {
    open: async () => {
      const socket = connect({ path: unix.path, allowHalfOpen: true });
      await once(socket, 'connect');
      return socket;
    },
  };
}
