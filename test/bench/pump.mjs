// SPDX-License-Identifier: Apache-2.0
// The least a Node pair can do between a Unix socket and mutual TLS. It knows no frame and checks nothing beyond the
// chain; it is the floor our relay is compared with. `pipe` as anybody would write it, or `onread`: sockets this program
// dials are read into buffers that are used again, which Node offers for those alone.
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';

const [half, file, kind] = process.argv.slice(2);
const place = JSON.parse(readFileSync(file, 'utf8'));
const read = path => readFileSync(path, 'utf8');
const tls13 = { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' };

/** Both ends die together. */
function bind(a, b) {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ]) {
    from.setNoDelay?.(true);
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }
}

/** Buffers that are neither read into nor being written. */
const free = [];

/** Joins a socket that came in with one that `dial` opens. */
function join(accepted, dial) {
  if (kind === 'pipe') {
    const dialled = dial({});
    bind(accepted, dialled);
    accepted.pipe(dialled);
    dialled.pipe(accepted);
    return;
  }
  const dialled = dial({
    onread: {
      buffer: () => free.pop() ?? Buffer.allocUnsafeSlow(65_536),
      callback: (length, bytes) => {
        const more = accepted.write(bytes.subarray(0, length), () => free.push(bytes));
        if (!more) accepted.once('drain', () => dialled.resume());
        return more;
      },
    },
  });
  bind(accepted, dialled);
  accepted.on('data', chunk => {
    if (dialled.write(chunk)) return;
    accepted.pause();
    dialled.once('drain', () => accepted.resume());
  });
  accepted.on('end', () => dialled.end());
  dialled.on('end', () => accepted.end());
}

/** A server under TLS 1.3 sends no ticket when whoever is asked for its key says so; Node has no public word for it. */
function sendNoTickets(context) {
  const part = Buffer.alloc(16);
  context.onticketkeycallback = () => [0, part, part, part, part];
  context.enableTicketKeyCallback?.();
}

if (half === 'back') {
  const server = tls
    .createServer(
      {
        cert: read(place.server.cert),
        key: read(place.server.key),
        ca: read(place.ca),
        requestCert: true,
        rejectUnauthorized: true,
        ...tls13,
      },
      socket => join(socket, options => net.connect({ path: place.agentSocket, ...options })),
    )
    .on('tlsClientError', () => {});
  sendNoTickets(server._sharedCreds.context);
  server.listen(place.port, '127.0.0.1');
} else {
  const secureContext = tls.createSecureContext({
    cert: read(place.client.cert),
    key: read(place.client.key),
    ca: read(place.ca),
    ...tls13,
  });
  const dial = options =>
    tls.connect({
      host: '127.0.0.1',
      port: place.port,
      servername: place.serverName,
      secureContext,
      ...options,
    });
  for (const path of [...(place.moreSockets ?? []), place.shimSocket])
    net.createServer(socket => join(socket, dial)).listen(path);
}
