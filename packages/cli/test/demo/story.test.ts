// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { healthService } from '@peerpod-tls/agent-protocol';
import { TtrpcServer, implement } from '@peerpod-tls/ttrpc';
import t from 'tap';
import { parseLogLine, readLog } from '../../src/demo/log-events.js';
import { picture } from '../../src/demo/picture.js';
import { TextStage } from '../../src/demo/stage.js';
import { Story, isRefusal, refusalRemark, remark } from '../../src/demo/story.js';
import { knock } from '../../src/demo/stranger.js';
import { VmConsoles } from '../../src/demo/vm-console.js';
import { shortDirectory } from '../support/program.js';
import { styleFor } from '../../src/terminal/style.js';
import { columnsOf } from '../../src/terminal/text.js';

const now = new Date('2026-11-21T09:00:00Z');
const event = (fields: Record<string, unknown>) => {
  const parsed = parseLogLine(JSON.stringify(fields));
  if (parsed === null) throw new Error('not an event');
  return parsed;
};

t.test('a log is read line by line, and lines that are no events are passed on as they are', async t => {
  const lines: string[] = [];
  await readLog(Readable.from(['banner\n{"msg":"a","level":"wa', 'rn"}\r\n{"msg":', '"b"}']), line =>
    lines.push(line),
  );
  t.same(lines, ['banner', '{"msg":"a","level":"warn"}', '{"msg":"b"}']);
  t.same(
    lines.map(line => parseLogLine(line)?.level ?? null),
    [null, 'warn', 'quiet'],
  );
  for (const text of ['', 'null', '7', '[]', '"x"', '{']) t.equal(parseLogLine(text), null, text);
});

t.test('fields of another type than expected are as good as none', async t => {
  const odd = event({ msg: 'certificate issued', names: 'x', ms: 'y', subject: { a: 1 }, notAfter: 7 });
  const step = new Story().stepFor(odd, now);
  t.match(step?.lines, ['for ', /of unknown lifetime|days/, 'sha256 ']);
});

t.test('the first link of a sandbox is told, with both names, and the others are not', async t => {
  const story = new Story();
  t.ok(story.stepFor(event({ msg: 'identity ready', client: { subject: 'O=us' }, authority: null }), now));
  const judged = event({
    msg: 'link verified',
    protocol: 'TLSv1.3',
    cipher: 'X',
    names: ['vm'],
    handshakeMs: 3.14,
  });
  t.same(story.stepFor(judged, now)?.lines, [
    'TLSv1.3 in 3.14 ms, X',
    'the VM proved to be vm',
    'the adaptor proved to be O=us',
  ]);
  t.equal(story.stepFor(judged, now), null);
  t.equal(story.stepFor(event({ msg: 'something else' }), now), null);
});

t.test('while it serves, what a person should know is remarked upon', async t => {
  t.equal(remark(event({ msg: 'link verified' })), null);
  t.equal(remark(event({ msg: 'sandbox stopped', sandbox: 'a\u001b[2J' })), 'sandbox a\\x1b[2J stopped');
  t.equal(
    remark(event({ msg: 'link redialled', sandbox: 'a', ms: 250, replayed: 1, failed: 2 })),
    'the link of a is back after 250 ms: 1 call sent again, 2 answered Unavailable',
  );
  t.equal(remark(event({ msg: 'went wrong', level: 'error', err: { message: 'why' } })), 'went wrong: why');
});

t.test('refusals of the VM are read from its console and told with what it expects', async t => {
  const dir = shortDirectory(t);
  const vm = join(dir, 'adaptor', 'vm');
  mkdirSync(vm, { recursive: true });
  const consoles = new VmConsoles(dir);
  t.same(consoles.read(), [], 'no console yet');
  const line = (fields: object) => `2026-11-21T10:00:00Z forwarder: ${JSON.stringify(fields)}\n`;
  const refused = {
    msg: 'peer refused',
    remote: '127.0.0.1:9',
    text: 'no certificate',
    expected: ['O=us sha256 ab'],
  };
  const text = `booting\n${line({ msg: 'link opened' })}${line(refused)}`;
  writeFileSync(join(vm, 'console.log'), text.slice(0, -20));
  t.same(consoles.read().filter(isRefusal), [], 'half a line is no line');
  appendFileSync(join(vm, 'console.log'), text.slice(-20));
  const [found, ...more] = consoles.read().filter(isRefusal);
  t.same(more, []);
  t.equal(found && refusalRemark(found), 'the VM refused 127.0.0.1:9: no certificate; it expects O=us');
  t.same(consoles.read(), [], 'each line is read once');
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
    t.equal(lines.length, 3);
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
  t.equal(String(out.read()), ['grün', 'half', 'other', 'rest'].map(line => `${gutter}${line}\n`).join(''));
  stage.close();
  stage.remark('late');
  t.equal(out.read(), null, 'a closed stage stays silent');
});
