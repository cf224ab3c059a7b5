// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { readOptions, threadsFor, type ProxyOptions } from '../src/options.js';

function options(argv: readonly string[], env: NodeJS.ProcessEnv = {}): ProxyOptions {
  const invocation = readOptions(argv, env);
  if (invocation.t !== 'serve') throw new Error(`unexpected ${invocation.t}`);
  return invocation.options;
}

t.test('a directory is all it needs, and names its generation', async t => {
  t.match(options(['-directory', '/var/lib/peerpod/proxy/one']), {
    directory: '/var/lib/peerpod/proxy/one',
    socket: '/run/peerpod/hypervisor.sock',
    generation: 'one',
    drainMs: 30_000,
    logLevel: 'info',
    logFormat: 'json',
  });
});

t.test('flags and variables say the rest', async t => {
  t.match(
    options([
      '-directory=/d',
      '-socket',
      '/s.sock',
      '-generation=g',
      '-data-path-threads=3',
      '-drain-timeout=1500ms',
      '-log-level=debug',
      '-log-format=text',
    ]),
    {
      directory: '/d',
      socket: '/s.sock',
      generation: 'g',
      threads: 3,
      drainMs: 1500,
      logLevel: 'debug',
      logFormat: 'text',
    },
  );
  t.match(options([], { PROXY_DIR: '/d', REMOTE_HYPERVISOR_ENDPOINT: '/s.sock', DATA_PATH_THREADS: '2' }), {
    directory: '/d',
    socket: '/s.sock',
    threads: 2,
  });
});

t.test('without a directory it does not start, and says what one is for', async t => {
  t.throws(() => options([]), { message: /-directory is missing/, hint: /-directory DIR or PROXY_DIR/ });
  t.throws(() => options(['-directory', '/d', '-data-path-threads=0']), { message: /-data-path-threads/ });
});

t.test('help and version are texts', async t => {
  for (const [argv, text] of [
    [['-help'], /Usage: agent-protocol-proxy -directory DIR/],
    [['-version'], /^agent-protocol-proxy version /],
  ] as const)
    t.match(readOptions(argv, {}), { t: 'help', text });
});

t.test('half of the cores carry data, at least one and at most four', async t => {
  t.strictSame([1, 2, 3, 4, 8, 64].map(threadsFor), [1, 1, 1, 2, 4, 4]);
});
