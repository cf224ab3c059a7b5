// SPDX-License-Identifier: Apache-2.0
// Where there is no Go: an echo agent on our own ttrpc server.
import { defineService, implement, TtrpcServer, unary, type MessageType } from '@peerpod-tls/ttrpc';
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { socket: { type: 'string' } },
  args: process.argv.slice(2).map(arg => arg.replace(/^-(?!-)/, '--')),
});
const bytes: MessageType<Uint8Array> = {
  encode: message => ({ finish: () => message }),
  decode: message => message,
};
const echo = defineService('grpc.AgentService', { ExecProcess: unary(bytes, bytes) });
const server = new TtrpcServer({ services: [implement(echo, { ExecProcess: request => request })] });
createServer(socket => server.serve(socket)).listen(values.socket);
