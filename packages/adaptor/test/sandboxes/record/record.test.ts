// SPDX-License-Identifier: Apache-2.0
// Records: every version there ever was loads, one field more or less costs no pod anything, and what is not ours stays.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { parseRecord, renderRecord } from '../../../src/sandboxes/record/record.js';
import type { ReadRecord } from '../../../src/sandboxes/record/schema.js';
import {
  instanceOf,
  SANDBOX_STATES,
  tokenOf,
  toStopping,
  withFound,
} from '../../../src/sandboxes/sandbox.js';

const FIXTURES = path.join(import.meta.dirname, '../../fixtures/records');
/** Every shape an adaptor has written; a new version adds its five files. */
const SHAPES = ['v1-unlinked', 'v1', 'v2'];
const defaults = { tls: 'automatic', port: 15_150 } as const;

const read = (record: unknown, id: string): ReadRecord =>
  parseRecord(JSON.stringify(record), id, `${id}.json`, defaults);
const fixture = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path.join(FIXTURES, `${name}.json`), 'utf8'));

t.test('a record of every older version loads whole, in every state, and is written as today’s', async t => {
  const names = SHAPES.flatMap(shape => SANDBOX_STATES.map(state => `${shape}-${state}`));
  t.strictSame(readdirSync(FIXTURES).toSorted(), names.map(name => `${name}.json`).toSorted());
  for (const name of names) {
    const record = fixture(name);
    const { sandbox, repaired } = read(record, name);
    const unlinked = name.startsWith('v1-unlinked');
    t.strictSame(repaired, unlinked ? ['link.port'] : [], name);
    t.match(sandbox, {
      id: name,
      spec: { pod: 'nginx', namespace: 'default', instanceType: 't3.small', vcpus: 2, memoryMiB: 2048 },
      link: { tls: 'automatic', serverName: sandbox.instanceName, port: unlinked ? 15_150 : 15_151 },
    });
    t.strictSame(sandbox.state, record['state']);
    const again: unknown = JSON.parse(renderRecord(sandbox));
    t.match(again, { version: 2, spec: { pod: 'nginx' } });
    t.notOk(typeof again === 'object' && again !== null && 'wish' in again);
    t.strictSame(read(again, name), { sandbox: { ...sandbox, version: 2 }, repaired: [] });
  }
});

/** Every path to a value in a record, as a list of keys. */
function pathsOf(value: unknown, before: readonly string[] = []): string[][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[...before]];
  const below = Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...before, key]));
  return before.length === 0 ? below : [[...before], ...below];
}

/** A copy in which the value at a path is another, or is gone. */
function changed(value: unknown, at: readonly string[], to: unknown): unknown {
  const [key, ...rest] = at;
  if (key === undefined || typeof value !== 'object' || value === null) return to;
  const entries = Object.entries(value).flatMap(([name, inner]) => {
    if (name !== key) return [[name, inner]];
    if (rest.length > 0) return [[name, changed(inner, rest, to)]];
    return to === undefined ? [] : [[name, to]];
  });
  return Object.fromEntries(entries);
}

t.test('a running VM stays known, whichever single field is gone or nonsense', async t => {
  for (const shape of SHAPES) {
    const name = `${shape}-running`;
    const whole = fixture(name);
    for (const at of pathsOf(whole)) {
      for (const nonsense of [undefined, null, -1, 'x', [], {}, true]) {
        const where = `${shape}: ${at.join('.')} = ${JSON.stringify(nonsense)}`;
        if (at.join('.') === 'id' && nonsense === 'x') continue;
        const { sandbox } = read(changed(whole, at, nonsense), name);
        const known = nonsense === 'x' && at.join('.') === 'state.instance.id' ? 'x' : `i-${name}`;
        const instance = instanceOf(sandbox);
        // Known by its id, or to be asked for by its token, and never given up or deleted by itself.
        t.ok(instance?.id === known || tokenOf(sandbox) !== null, where);
        if (typeof nonsense !== 'string' || at.join('.') !== 'state.t')
          t.equal(sandbox.state.t, 'running', where);
      }
    }
  }
});

t.test('a field nobody here knows is kept, however often the record is written', async t => {
  const later = {
    ...fixture('v2-running'),
    zone: { rack: 7 },
    spec: { ...Object(fixture('v2-running')['spec']), qos: 'gold' },
  };
  const { sandbox, repaired } = read(later, 'v2-running');
  t.strictSame(repaired, []);
  const stopping: unknown = JSON.parse(renderRecord(toStopping(sandbox, new Date())));
  t.match(stopping, { zone: { rack: 7 }, spec: { qos: 'gold' }, state: { t: 'stopping' } });
});

t.test('a record of a later version is used as far as it is understood, and keeps its version', async t => {
  const { sandbox, repaired } = read({ ...fixture('v2-running'), version: 3, more: 1 }, 'v2-running');
  t.match(repaired, [/version 3 of a later adaptor/]);
  t.match(JSON.parse(renderRecord(sandbox)), {
    version: 3,
    more: 1,
    state: { instance: { id: 'i-v2-running' } },
  });
});

t.test('an instance that a record lost is found by its token, and then known again', async t => {
  const { sandbox } = read(
    changed(fixture('v2-running'), ['state', 'instance', 'id'], undefined),
    'v2-running',
  );
  t.equal(instanceOf(sandbox), null);
  t.equal(tokenOf(sandbox), 'v2-running.1');
  t.match(toStopping(sandbox, new Date()).state, { token: 'v2-running.1' }, 'StopVM finds it, too');
  const found = { id: 'i-9', name: 'n', addresses: ['127.0.0.3'], token: 'v2-running.1' };
  t.match(withFound(sandbox, found).state, {
    t: 'running',
    instance: { id: 'i-9', addresses: ['127.0.0.3'] },
  });
});

t.test('only what is no record of this sandbox at all is refused', async t => {
  for (const text of ['', '{', '[]', 'null', '"x"', '\0'.repeat(40), '{"version": 2, "id": "other"}']) {
    t.throws(() => parseRecord(text, 'mine', 'mine.json', defaults), {
      code: 'ERR_ADAPTOR_STATE_CORRUPT',
      message: /^mine\.json /,
    });
  }
});
