// SPDX-License-Identifier: Apache-2.0
// Where there is no Go: a client that shakes hands, half-closes, waits for the server's end and does it again.
import { readFileSync } from 'node:fs';
import tls from 'node:tls';

const flags = Object.fromEntries(
  process.argv.slice(2).map(arg => arg.replace(/^-+/, '').split(/=(.*)/s).slice(0, 2)),
);
const [host, port] = flags.dial.split(':');
const secureContext = tls.createSecureContext({
  cert: readFileSync(flags.cert),
  key: readFileSync(flags.key),
  ca: readFileSync(flags.ca),
  minVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256',
});
const begun = performance.now();
for (let made = 0; made < Number(flags.count); made += 1) {
  await new Promise((resolve, reject) => {
    const socket = tls.connect({ host, port: Number(port), servername: flags.name, secureContext }, () =>
      socket.end(),
    );
    socket.resume();
    socket.once('close', resolve);
    socket.once('error', reject);
  });
}
process.stdout.write(
  `${JSON.stringify({ count: Number(flags.count), seconds: (performance.now() - begun) / 1000 })}\n`,
);
