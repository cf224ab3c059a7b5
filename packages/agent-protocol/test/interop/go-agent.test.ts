// SPDX-License-Identifier: Apache-2.0
// Our .proto files and our rewrites against the message types that kata's Go shim is built with.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import t from 'tap';
import { buildGoProgram } from '../../../../test/kit/go-program.js';
import { withAnnotations, withNetworkNamespace } from '../../src/rewrites/container-rewrites.js';
import type { RewriteResult } from '../../src/rewrites/rewrite-result.js';
import {
  allMethods,
  enumIn,
  messageIn,
  nameOf,
  type Field,
  type MessageType,
} from '../../src/messages/schema.js';
import { createContainerModel, encodeModel } from '../wire-model.js';

const PATH = '/run/netns/podns';

interface GoField {
  readonly message: string;
  readonly name: string;
  readonly number: number;
  readonly kind: string;
  readonly list: boolean;
  readonly map: boolean;
}

interface Reading {
  readonly error: boolean;
  readonly namespaces: readonly (readonly [string, string])[];
  readonly annotations: Readonly<Record<string, string>> | null;
  readonly rest: string;
}

/** The program, or why it cannot be had on this machine. */
const build = (directory: string): ReturnType<typeof buildGoProgram> =>
  buildGoProgram(fileURLToPath(new URL('.', import.meta.url)), join(directory, 'agent-interop'));

/** JSON lines of our own program, which this file's types describe. */
function lines<T>(program: string, words: readonly string[], input = ''): T[] {
  const { stdout, status } = spawnSync(program, words, { input, encoding: 'utf8', maxBuffer: 1e9 });
  if (status !== 0) throw new Error(`the Go program ended with ${status}`);
  return stdout
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
}

/** Fields that newer agents call otherwise. */
const renamed = new Map([['types.Interface.pciPath', 'types.Interface.devicePath']]);

const directory = mkdtempSync(join(tmpdir(), 'agent-go-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const go = build(directory);
const program = 'program' in go ? go.program : '';
const skip = 'reason' in go && go.reason;

function kindOf(field: Field): string {
  if (field.map || messageIn(field) !== null) return 'message';
  return enumIn(field) === null ? field.type : 'enum';
}

t.test('every field that kata has is in our .proto files, under its number and type', { skip }, async t => {
  const known = new Map<string, Field>();
  const visit = (message: MessageType): void => {
    for (const field of message.fieldsArray) {
      const key = `${nameOf(message)}.${field.name}`;
      if (known.has(key)) continue;
      known.set(key, field);
      const inner = messageIn(field);
      if (inner !== null) visit(inner);
    }
  };
  for (const { request, response } of allMethods()) [request, response].forEach(visit);
  const theirs = lines<GoField>(program, ['fields']).filter(({ message }) =>
    /^(grpc|types|hypervisor)\./.test(message),
  );
  t.ok(theirs.length > 300, `${theirs.length} fields`);
  for (const { message, name, number, kind, list, map } of theirs) {
    const ours = known.get(renamed.get(`${message}.${name}`) ?? `${message}.${name}`);
    if (ours === undefined) {
      t.fail(`${message}.${name} = ${number} is missing`);
      continue;
    }
    const cardinality = map ? 'map' : list ? 'repeated' : 'single';
    t.strictSame(
      [ours.id, kindOf(ours), ours.map ? 'map' : ours.repeated ? 'repeated' : 'single'],
      [number, kind, cardinality],
      `${message}.${name}`,
    );
  }
});

t.test(
  'after a rewrite kata reads the namespace and the annotation, and the rest as before',
  { skip },
  async t => {
    const models = fc.sample(createContainerModel, { numRuns: 1500, seed: 20 });
    const requests = models.map((model, index) => {
      const bytes = encodeModel(model);
      // Every third request has one bit turned: some of those are refused, the others must still mean the same.
      if (index % 3 === 0) {
        const at = (index * 7919) % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << (index % 8));
      }
      return bytes;
    });
    const set = new Map([['fresh.example/key', 'value']]);
    const rewritten = requests.map(request => {
      const network = withNetworkNamespace(request, PATH);
      const joined = bytesOf(request, network);
      return joined && bytesOf(joined, withAnnotations(joined, set));
    });
    const kept = requests.flatMap((request, index) => {
      const after = rewritten[index];
      return after ? [{ request, after }] : [];
    });
    t.ok(kept.length > 1000, `${kept.length} of ${requests.length} were rewritten`);
    const hex = kept.flatMap(({ request, after }) => [request.toString('hex'), after.toString('hex')]);
    const readings = lines<Reading>(program, [], `${hex.join('\n')}\n`);
    let agreed = 0;
    for (const [index, { request }] of kept.entries()) {
      const before = readings[index * 2];
      const after = readings[index * 2 + 1];
      if (before === undefined || after === undefined) throw new Error('a line is missing');
      const others = (reading: Reading) => reading.namespaces.filter(([type]) => type !== 'network');
      const fine =
        before.error === after.error &&
        (before.error ||
          (before.rest === after.rest &&
            JSON.stringify(others(before)) === JSON.stringify(others(after)) &&
            after.namespaces.filter(([type, path]) => type === 'network' && path === PATH).length === 1 &&
            after.namespaces.length === others(after).length + 1 &&
            after.annotations?.['fresh.example/key'] === 'value' &&
            Object.keys(after.annotations).length === Object.keys(before.annotations ?? {}).length + 1));
      if (fine) agreed += 1;
      else t.fail(`kata reads ${request.toString('hex')} otherwise`);
    }
    t.equal(agreed, kept.length);
  },
);

function bytesOf(before: Buffer, result: RewriteResult): Buffer | null {
  if (result.t === 'refused') return null;
  return result.t === 'same' ? before : Buffer.from(result.message);
}
