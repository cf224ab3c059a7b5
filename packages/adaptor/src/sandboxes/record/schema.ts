// SPDX-License-Identifier: Apache-2.0
// What a record of today's version looks like. Every field has something to stand in for it, since a VM that runs is
// worth more than a flawless file; every field that is not known here is kept. Older versions are in migrations.ts.
import * as v from 'valibot';
import type { Instance } from '@peerpod-tls/providers';
import type { Sandbox, SandboxState, SandboxTls } from '../sandbox.js';

/** What stands in for fields of a link that a record does not say. */
export interface RecordDefaults {
  readonly tls: SandboxTls;
  readonly port: number;
}

const text = v.string();
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const textOrNull = v.nullable(text);

/** Not known: its instance has to be asked for. */
const NO_INSTANCE = { id: '', name: '', addresses: [] };

const NO_SPEC = {
  pod: '',
  namespace: '',
  instanceType: '',
  image: '',
  vcpus: 0,
  memoryMiB: 0,
  gpus: 0,
  initdata: '',
};

/** The schema; `note` is told of each field that something else stood in for. */
function schemaOf(id: string, defaults: RecordDefaults, note: (field: string) => void) {
  const or = <S extends v.GenericSchema>(field: string, schema: S, instead: v.InferOutput<S>) =>
    v.fallback(schema, () => {
      note(field);
      return instead;
    });
  const epoch = new Date(0).toISOString();
  const instance = v.looseObject({
    id: or('state.instance.id', text, ''),
    name: or('state.instance.name', text, ''),
    addresses: or('state.instance.addresses', v.array(text), []),
  });
  const since = or('state.since', text, epoch);
  const token = or('state.token', textOrNull, null);
  const instanceOrNull = or('state.instance', v.nullable(instance), null);
  const state = v.variant('t', [
    v.looseObject({ t: v.literal('created'), since }),
    v.looseObject({
      t: v.literal('starting'),
      since,
      token: or('state.token', text, ''),
      instance: instanceOrNull,
    }),
    v.looseObject({
      t: v.literal('running'),
      since,
      instance: or('state.instance', instance, NO_INSTANCE),
    }),
    v.looseObject({
      t: v.literal('failed'),
      since,
      reason: or('state.reason', text, 'the record does not say why'),
      token,
      instance: instanceOrNull,
    }),
    v.looseObject({
      t: v.literal('stopping'),
      since,
      token,
      instance: instanceOrNull,
      trouble: or('state.trouble', textOrNull, null),
    }),
  ]);
  // A state nobody knows: whatever VM there is is left running and reachable, and StopVM deletes it.
  const unknownState = v.pipe(
    v.looseObject({ instance: or('state.instance', instance, NO_INSTANCE), since }),
    v.transform(({ instance: found, since: from }) => {
      note('state.t');
      return { t: 'running' as const, since: from, instance: found };
    }),
  );
  const spec = v.looseObject({
    pod: or('spec.pod', text, ''),
    namespace: or('spec.namespace', text, ''),
    instanceType: or('spec.instanceType', text, ''),
    image: or('spec.image', text, ''),
    vcpus: or('spec.vcpus', count, 0),
    memoryMiB: or('spec.memoryMiB', count, 0),
    gpus: or('spec.gpus', count, 0),
    initdata: or('spec.initdata', text, ''),
  });
  const link = v.looseObject({
    tls: or('link.tls', v.picklist(['automatic', 'manual', 'disabled']), defaults.tls),
    serverName: v.optional(text),
    port: or('link.port', v.pipe(count, v.minValue(1), v.maxValue(65_535)), defaults.port),
  });
  const leaf = v.looseObject({
    subject: or('leaf.subject', text, ''),
    fingerprint: or('leaf.fingerprint', text, ''),
    notAfter: or('leaf.notAfter', text, epoch),
  });
  return v.looseObject({
    id: or('id', text, id),
    spec: or('spec', spec, NO_SPEC),
    networkNamespace: or('networkNamespace', text, ''),
    instanceName: or('instanceName', text, ''),
    link: or('link', link, { tls: defaults.tls, port: defaults.port }),
    createdAt: or('createdAt', text, epoch),
    leaf: or('leaf', v.nullable(leaf), null),
    generation: or('generation', count, 1),
    state: or('state', v.union([state, unknownState]), { t: 'running', since: epoch, instance: NO_INSTANCE }),
  });
}

export interface ReadRecord {
  readonly sandbox: Sandbox;
  /** Fields that were missing or unusable, in words for the log; none in a sound record. */
  readonly repaired: readonly string[];
}

/** Reads a record of today's version; what it lacks is stood in for and named. */
export function readRecord(
  record: unknown,
  id: string,
  names: { readonly defaults: RecordDefaults; readonly instanceName: (pod: string) => string },
): ReadRecord {
  const repaired = new Set<string>();
  const read = v.parse(
    schemaOf(id, names.defaults, field => repaired.add(field)),
    record,
  );
  const instanceName = read.instanceName === '' ? names.instanceName(read.spec.pod) : read.instanceName;
  const serverName = read.link.serverName ?? (read.link.tls === 'automatic' ? instanceName : '');
  if (read.link.serverName === undefined) repaired.add('link.serverName');
  const state: SandboxState = read.state;
  return {
    sandbox: { ...read, instanceName, link: { ...read.link, serverName }, state: named(state, instanceName) },
    repaired: [...repaired],
  };
}

/** An instance whose name is not known has the sandbox's. */
function named(state: SandboxState, name: string): SandboxState {
  if (state.t === 'created' || state.instance === null || state.instance.name !== '') return state;
  const instance: Instance = { ...state.instance, name };
  return { ...state, instance };
}
