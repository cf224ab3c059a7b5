// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { findSandbox } from '../../src/agent/find-sandbox.js';
import { type SandboxRow, parseSandboxes } from '../../src/status/endpoint.js';
import { sandboxTable } from '../../src/status/ps.js';
import { styleFor } from '../../src/terminal/style.js';

const style = styleFor({ tty: false, env: {} });
const now = new Date('2026-11-21T09:00:00Z');
const ago = (s: number) => new Date(now.getTime() - s * 1000).toISOString();

function rows(...list: readonly object[]): readonly SandboxRow[] {
  const found = parseSandboxes(JSON.stringify({ sandboxes: list }));
  if (found === null) throw new Error('no list');
  return found.rows;
}

const id = 'a'.repeat(64);
const one = {
  id,
  pod: 'web',
  namespace: 'default',
  state: 'running',
  socket: `/run/peerpod/pods/${id}/agent.ttrpc`,
};

t.test('a narrow terminal gets fewer columns, and no id or pod is ever cut', async t => {
  const list = rows({ ...one, addresses: ['10.0.0.7'], since: ago(3600) });
  for (const width of [undefined, 300, 120, 90, 40, 1]) {
    const [heading = '', line = ''] = sandboxTable(list, style, now, { width });
    t.ok(line.startsWith(`${id}  default/web  running`), String(width));
    t.notMatch(line, /…/u);
    t.match(heading, /^ID +POD +STATE/);
  }
  t.match(sandboxTable(list, style, now, { width: 120 })[1], /10\.0\.0\.7$/, 'what fits is there');
  t.match(sandboxTable(list, style, now)[1], /agent\.ttrpc$/, 'and without a terminal all of it');
});

t.test(
  'a sandbox is found by its id, its pod or the beginning of its id, and only when it is one',
  async t => {
    const list = rows(
      one,
      { ...one, id: 'ab', pod: 'db' },
      { ...one, id: 'web', pod: 'other', namespace: 'x' },
    );
    t.equal(findSandbox('web', list).pod, 'other', 'an id comes before a pod');
    t.equal(findSandbox('default/web', list).id, id);
    t.equal(findSandbox('db', list).id, 'ab');
    t.equal(findSandbox('aa', list).id, id);
    t.throws(() => findSandbox('a', list), {
      code: 'ERR_CLI_NO_SANDBOX',
      message: /several sandboxes: a+, ab/,
    });
    t.throws(() => findSandbox('z', list), { code: 'ERR_CLI_NO_SANDBOX', hint: 'peerpod ps lists them' });
    t.throws(() => findSandbox('z', []), {
      code: 'ERR_CLI_NO_SANDBOX',
      hint: 'the adaptor has no sandboxes',
    });
  },
);
