// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { healthService } from '@peerpod-tls/agent-protocol';
import { TtrpcServer, implement } from '@peerpod-tls/ttrpc';
import t from 'tap';
import { logLine, readLog } from '../../src/demo/log-lines.js';
import { picture } from '../../src/demo/picture.js';
import { TextStage } from '../../src/demo/stage.js';
import { certificateStep, startedStep } from '../../src/demo/story.js';
import { knock } from '../../src/demo/stranger.js';
import { VmConsoles } from '../../src/demo/vm-console.js';
import { shortDirectory } from '../support/program.js';
import { styleFor } from '../../src/terminal/style.js';
import { columnsOf } from '../../src/terminal/text.js';

const now = new Date('2026-11-21T09:00:00Z');

t.test('a line of a log is shown with its fields, safe to print, and what is no JSON as it is', async t => {
  const lines: string[] = [];
  await readLog(Readable.from(['banner\n{"msg":"a","level":"wa', 'rn"}\r\n{"msg":', '"b"}']), line =>
    lines.push(line),
  );
  t.same(lines, ['banner', '{"msg":"a","level":"warn"}', '{"msg":"b"}']);
  t.same(lines.map(logLine), [
    { level: 'quiet', text: 'banner' },
    { level: 'warn', text: 'a' },
    { level: 'quiet', text: 'b' },
  ]);
  const full = {
    level: 'error',
    time: 'x',
    name: 'x',
    pid: 1,
    msg: 'went wrong',
    sandbox: 'a\u001b[2J',
    ms: 3,
  };
  t.same(
    logLine(
      JSON.stringify({ ...full, names: ['b', 'c'], err: { message: 'why so', stack: 'at' }, no: null }),
    ),
    {
      level: 'error',
      text: 'went wrong sandbox=a\\x1b[2J ms=3 names=b,c err.message="why so"',
    },
  );
  for (const text of ['', 'null', '7', '[]', '"x"', '{']) t.equal(logLine(text).text, text);
});

t.test(
  'the steps tell what the calls and the status told, and are silent about what they did not',
  async t => {
    const row = {
      id: 'demo',
      pod: 'hello',
      namespace: 'default',
      state: 'running',
      instance: '7',
      name: 'podvm-x',
      addresses: ['127.1.2.3'],
      socket: '/s',
      since: null,
      serverName: 'vm\u001b',
      leaf: null,
      shim: null,
      error: '',
    };
    t.same(startedStep(row, 1240).lines, [
      'podvm-x at 127.1.2.3, up in 1.24 s',
      'it proved to be vm\\x1b, and its agent answered through the link',
    ]);
    t.equal(startedStep({ ...row, serverName: '' }, 1).lines.length, 1);
    const leaf = {
      subject: 'CN=a',
      fingerprint: '0123456789abcdef01',
      notAfter: new Date('2026-11-24T09:00:00Z'),
    };
    t.same(certificateStep(leaf, now).lines, ['CN=a, ends in 3 days', 'sha256 0123456789abcdef…']);
    t.match(certificateStep({ ...leaf, notAfter: null }, now).lines, [/of unknown lifetime/, /sha256/]);
  },
);

/** What a program logs: the text behind the fields of a call on a logger. */
const LOGGED = /\blog\??\.(?:debug|info|warn|error|fatal)\((?:\{[^}]*\}|[\w.]+),\s*'(?<text>[^']+)'/gu;
/** A text that something is compared with, or that a table of texts is keyed by. */
const LOOKED_FOR =
  /(?:[!=]==|\bcase|(?:includes|startsWith|endsWith|indexOf|search|match)\(|^\s*\[)\s*'(?<text>[^']+)'/gmu;

t.test('no program looks for the text of another one’s log', async t => {
  const packages = fileURLToPath(new URL('../../../', import.meta.url));
  const sources = readdirSync(packages).flatMap(name => {
    const src = join(packages, name, 'src');
    if (!existsSync(src)) return [];
    const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(file =>
      file.endsWith('.ts'),
    );
    return files.map(file => ({ name, file, text: readFileSync(join(src, file), 'utf8') }));
  });
  const logged = new Set(
    sources
      .flatMap(({ text }) => [...text.matchAll(LOGGED)].map(found => found.groups?.['text'] ?? ''))
      .filter(said => said.includes(' ')),
  );
  t.ok(logged.size > 30, 'the texts are found at all');
  const readers = sources.flatMap(({ name, file, text }) =>
    [...text.matchAll(LOOKED_FOR)]
      .map(found => found.groups?.['text'] ?? '')
      .filter(said => logged.has(said))
      .map(said => `${name}/src/${file} looks for "${said}", which is logged`),
  );
  t.strictSame(readers, []);
});

t.test('the lines of a VM are read from its console, each once and whole', async t => {
  const dir = shortDirectory(t);
  const vm = join(dir, 'adaptor', 'vm');
  mkdirSync(vm, { recursive: true });
  const consoles = new VmConsoles(dir);
  t.same(consoles.read(), [], 'no console yet');
  const text = `booting\n2026-11-21T10:00:00Z forwarder: ${JSON.stringify({ msg: 'refused', level: 'warn' })}\n`;
  writeFileSync(join(vm, 'console.log'), text.slice(0, -20));
  t.same(consoles.read(), [{ level: 'quiet', text: 'booting' }], 'half a line is no line');
  appendFileSync(join(vm, 'console.log'), text.slice(-20));
  t.same(consoles.read(), [{ level: 'warn', text: 'refused' }]);
  t.same(consoles.read(), []);
});

t.test('a stranger is told apart from an agent that answers', async t => {
  const open = createServer(socket =>
    new TtrpcServer({ services: [implement(healthService, { Check: () => ({ status: 1 }) })] }).serve(socket),
  );
  const shut = createServer(socket => socket.destroy());
  for (const [server, answered] of [
    [open, true],
    [shut, false],
  ] as const) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    t.equal((await knock(`127.0.0.1:${port}`, AbortSignal.timeout(5000))).answered, answered);
  }
});

t.test('the picture fits into eighty columns, and into less as one line', async t => {
  const style = styleFor({ tty: true, env: {} });
  for (const columns of [undefined, 200, 80]) {
    const lines = picture(style, columns);
    t.equal(lines.length, 4);
    for (const line of lines) t.ok(columnsOf(line) < 80, line);
    t.equal(new Set(lines.map(columnsOf)).size, 1, 'the boxes are closed');
  }
  t.same(
    picture(style, 60).map(line => columnsOf(line) <= 60),
    [true],
  );
  for (const line of picture(styleFor({ tty: false, env: { LANG: 'C' } }), undefined))
    t.match(line, /^[ -~]+$/);
});

t.test('letters that arrive in two pieces and lines of two streams are put together right', async t => {
  const out = new PassThrough();
  const stage = new TextStage(out, styleFor({ tty: false, env: {} }), false);
  const bytes = Buffer.from('grün\n');
  stage.output('stdout', bytes.subarray(0, 3));
  stage.output('stdout', bytes.subarray(3));
  stage.output('stdout', Buffer.from('half'));
  stage.output('stderr', Buffer.from('other\n'));
  stage.output('stdout', Buffer.from('rest'));
  stage.outputEnd();
  const gutter = '        │ ';
  const chunks: unknown[] = [];
  // Node 26 reads one chunk at a time.
  for (let chunk: unknown; (chunk = out.read()) !== null;) chunks.push(chunk);
  t.equal(chunks.join(''), ['grün', 'half', 'other', 'rest'].map(line => `${gutter}${line}\n`).join(''));
  stage.close();
  stage.remark('late');
  t.equal(out.read(), null, 'a closed stage stays silent');
});
