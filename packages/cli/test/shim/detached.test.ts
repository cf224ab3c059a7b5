// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { startAdaptor } from '../support/adaptor.js';
import { call } from '../support/in-process.js';
import { peerpod } from '../support/program.js';

const { socket, status, dir } = await startAdaptor(t);

t.test('detached sandboxes are listed by ps and status, and stop takes them away', async t => {
  const started = await peerpod(t, [
    'run',
    '-detach',
    '-id',
    'left-alone',
    '-socket',
    socket,
    '--',
    'sleep',
    '600',
  ]);
  t.equal(started.stdout, 'left-alone\n');
  const again = await peerpod(t, ['run', '-id', 'left-alone', '-socket', socket, '--', 'true']);
  t.equal(again.code, 125, 'the id is taken');
  t.match(again.stderr, /CreateVM failed with AlreadyExists \(6\)/);

  const list = await call(['ps', '-address', status]);
  t.match(list.stdout, /^ID +POD +STATE/);
  t.match(
    list.stdout,
    /^left-alone +default\/peerpod-run +running .+127\.\d+\.\d+\.\d+ +\S+\/agent\.ttrpc$/m,
  );
  const ids = await call(['ps', '-quiet', '-address', status]);
  t.equal(ids.stdout, 'left-alone\n');
  const json = await call(['ps', '-json'], { env: { PEERPOD_STATUS_ADDRESS: status } });
  t.match(
    JSON.parse(json.stdout),
    {
      sandboxes: [
        { id: 'left-alone', state: 'running', tls: 'automatic', leaf: { subject: /CN=/ }, error: '' },
      ],
    },
    'everything that the adaptor tells, in its names',
  );

  const check = await call(['agent', 'Check', '-compact', '-socket', `${dir}/pods/left-alone/agent.ttrpc`]);
  t.equal(check.stdout, '{"status":"SERVING"}\n');

  for (const word of ['left-alone', 'left', 'peerpod-run', 'default/peerpod-run']) {
    const found = await call(['agent', 'Check', '-compact', '-sandbox', word, '-address', status]);
    t.equal(found.stdout, '{"status":"SERVING"}\n', word);
  }
  const missed = await call(['agent', 'Check', '-sandbox', 'right', '-address', status]);
  t.equal(missed.code, 1);
  t.match(missed.stderr, /no sandbox has the id or pod "right"\n {2}peerpod ps lists them/);

  const orphans = await call(['orphans', '-json', '-address', status]);
  t.match(JSON.parse(orphans.stdout), { orphans: [], sandboxes: [] }, 'whoever started it may come back');

  const summary = await call(['status', '-address', status]);
  t.equal(summary.code, 0);
  t.match(summary.stdout, /✓ ready/);
  t.match(summary.stdout, /certificates +leaf 730 days/);
  t.match(summary.stdout, /left-alone/);
  t.notMatch(summary.stdout, /internal/, 'the end of an output is no failure');
  const figures = JSON.parse((await call(['status', '-json', '-address', status])).stdout);
  t.ok(figures.summary.calls > 0 && figures.summary.issued > 0);

  const stopped = await peerpod(t, ['stop', 'left-alone', 'never-was', '-json', '-socket', socket]);
  t.equal(stopped.code, 1);
  t.match(JSON.parse(stopped.stdout).sandboxes, [
    { id: 'left-alone', stopped: true },
    { id: 'never-was', stopped: false, error: /NotFound/ },
  ]);
  const none = await call(['ps', '-address', status]);
  t.equal(none.stdout, '');
  t.equal(none.stderr, 'no sandboxes\n');
});
