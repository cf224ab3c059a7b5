// SPDX-License-Identifier: Apache-2.0
// The command that runs a proxy apart from the adaptor.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { temporary } from '../../../../test/kit/log.js';
import { findProxyProgram, proxyCommand } from '../../src/data-path/proxy-program.js';

t.test('the program is found among our packages, or beside the adaptor, or missed by name', async t => {
  t.match(findProxyProgram(), /agent-protocol-proxy\.js$/);
  const beside = temporary(t);
  t.throws(() => findProxyProgram('@peerpod-tls/nowhere/bin', beside), {
    code: 'ERR_ADAPTOR_PROXY_MISSING',
    message: /agent-protocol-proxy/,
    hint: /-proxy-socket/,
  });
  const single = path.join(beside, 'agent-protocol-proxy.cjs');
  writeFileSync(single, '');
  t.equal(findProxyProgram('@peerpod-tls/nowhere/bin', beside), single);
});

t.test('it is told its settings, and of the environment no more than it needs', async t => {
  process.env['AWS_SECRET_ACCESS_KEY'] = 'secret';
  t.teardown(() => delete process.env['AWS_SECRET_ACCESS_KEY']);
  const settings = { socket: '/s.sock', threads: 3, drainMs: 5000, logLevel: 'warn', logFormat: 'text' };
  const { args, env } = proxyCommand('/d', 'g', settings, '/d/proxy.log');
  const flags = args.filter(word => /^-[a-z]/.test(word));
  t.strictSame(flags, [
    '-directory=/d',
    '-socket=/s.sock',
    '-generation=g',
    '-data-path-threads=3',
    '-drain-timeout=5000ms',
    '-log-level=warn',
    '-log-format=text',
  ]);
  t.notOk('AWS_SECRET_ACCESS_KEY' in env);
  t.equal(env['PATH'], process.env['PATH']);
});
