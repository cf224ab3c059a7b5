// SPDX-License-Identifier: Apache-2.0
// Guards and bounds that a test must notice the loss of, each as a change of text: `from` stands exactly once in `file`
// and becomes `to`. `tests` are the files that should notice; left out, those of the package that reach the file.

/** @type {readonly { name: string, file: string, from: string, to: string, tests?: readonly string[] }[]} */
export const named = [
  {
    name: 'a renegotiation is refused',
    file: 'packages/link/src/tls/security.ts',
    from: '    secureOptions: NO_RENEGOTIATION,\n',
    to: '    secureOptions: 0,\n',
    tests: ['packages/link/test/tls/listen.test.ts'],
  },
  {
    name: 'no session ticket is sent',
    file: 'packages/link/src/tls/node-internals.ts',
    from: '  Reflect.apply(enable, handle, []);\n',
    to: '',
    tests: ['packages/link/test/tls/listen.test.ts'],
  },
  {
    name: 'the cap of links is looked at again after the handshake',
    file: 'packages/link/src/tls/listen.ts',
    from: 'full !== null; full = this.#caps.refusal(address)) {',
    to: 'false; full = this.#caps.refusal(address)) {',
    tests: ['packages/link/test/tls/listen.test.ts'],
  },
  {
    name: 'a client makes no room for another',
    file: 'packages/link/src/tls/peer-caps.ts',
    from: 'peer.client === client &&',
    to: '',
    tests: ['packages/link/test/tls/listen.test.ts'],
  },
  {
    name: 'a link that is read makes no room',
    file: 'packages/link/src/tls/listen.ts',
    from: ".on('resume', () => this.#caps.release(counted))",
    to: '',
    tests: ['packages/link/test/tls/listen.test.ts'],
  },
  {
    name: 'what throws in a handshake is caught',
    file: 'packages/link/src/tls/pending-handshakes.ts',
    from: "raw.once('readable', () => this.#safely(pending, () => this.#onFirstBytes(pending)));",
    to: "raw.once('readable', () => this.#onFirstBytes(pending));",
    tests: ['packages/link/test/tls/listen.test.ts'],
  },
  {
    name: 'what throws after a handshake is caught',
    file: 'packages/link/src/tls/pending-handshakes.ts',
    from: "socket.once('secure', () => void onSecure().catch((error: unknown) => this.#failed(pending, error)));",
    to: "socket.once('secure', () => void onSecure());",
    tests: ['packages/link/test/tls/listen.test.ts'],
  },
  {
    name: 'a dear look is followed by a rest',
    file: 'packages/link/src/liveness/link-watch.ts',
    from: '    this.#notBefore = now + rest;',
    to: '    this.#notBefore = now;',
    tests: ['packages/link/test/liveness/link-watch.test.ts'],
  },
  {
    name: 'a link that nobody reads is looked for',
    file: 'packages/link/src/liveness/link-watch.ts',
    from: 'link.settled && !isHeld(socket)) {',
    to: 'link.settled) {',
    tests: ['packages/link/test/liveness/link-watch.test.ts'],
  },
  {
    name: 'one missed look is no reset',
    file: 'packages/link/src/liveness/silence.ts',
    from: 'const MISSED_LOOKS = 3;',
    to: 'const MISSED_LOOKS = 1;',
    tests: ['packages/link/test/liveness/link-watch.test.ts'],
  },
  {
    name: 'an expiry looks at the clock again',
    file: 'packages/base/src/long-timer.ts',
    from: 'Math.min(leftMs, lookMs)',
    to: 'leftMs',
    tests: ['packages/link/test/liveness/loss.test.ts', 'packages/base/test/waits.test.ts'],
  },
];
