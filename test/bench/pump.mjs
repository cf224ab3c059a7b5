// SPDX-License-Identifier: Apache-2.0
// The least a Node pair can do: `pipe` both ways between a Unix socket and mutual TLS. It knows no frame and checks
// nothing beyond the chain; it is the floor our relay is compared with.
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';

const [half, file] = process.argv.slice(2);
const place = JSON.parse(readFileSync(file, 'utf8'));
const read = path => readFileSync(path, 'utf8');

function join(a, b) {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ]) {
    from.setNoDelay?.(true);
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }
}

if (half === 'back') {
  tls
    .createServer(
      {
        cert: read(place.server.cert),
        key: read(place.server.key),
        ca: read(place.ca),
        requestCert: true,
        rejectUnauthorized: true,
        minVersion: 'TLSv1.3',
      },
      socket => join(socket, net.connect(place.agentSocket)),
    )
    .on('tlsClientError', () => {})
    .listen(place.port, '127.0.0.1');
} else {
  const secureContext = tls.createSecureContext({
    cert: read(place.client.cert),
    key: read(place.client.key),
    ca: read(place.ca),
    minVersion: 'TLSv1.3',
  });
  net
    .createServer(socket =>
      join(
        socket,
        tls.connect({ host: '127.0.0.1', port: place.port, servername: place.serverName, secureContext }),
      ),
    )
    .listen(place.shimSocket);
}
