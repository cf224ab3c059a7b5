// SPDX-License-Identifier: Apache-2.0
// A sandbox as text in a file, and back. A file may be old, of a later adaptor, cut short, or edited; what each version
// looks like is in schema.ts and migrations.ts.
import { AdaptorError } from '../../errors.js';
import { instanceName } from '../instance-name.js';
import type { Sandbox } from '../sandbox.js';
import { migrate, RECORD_VERSION, versionOf } from './migrations.js';
import { readRecord, type ReadRecord, type RecordDefaults } from './schema.js';

/** The text of a record. Fields that are not ours, and a later version's number, are written as they were read. */
export function renderRecord(sandbox: Sandbox): string {
  const kept: unknown = 'version' in sandbox ? sandbox.version : undefined;
  const version = typeof kept === 'number' && kept > RECORD_VERSION ? kept : RECORD_VERSION;
  return `${JSON.stringify({ ...sandbox, version }, undefined, 2)}\n`;
}

/**
 * Reads the record of a sandbox; `where` names the file in messages. Throws `ERR_ADAPTOR_STATE_CORRUPT` only for what is
 * no JSON object, or speaks of another sandbox: everything else can be stood in for, and is named in `repaired`.
 */
export function parseRecord(text: string, id: string, where: string, defaults: RecordDefaults): ReadRecord {
  const root = parseJson(text, where);
  if (typeof root !== 'object' || root === null || Array.isArray(root))
    throw new AdaptorError('ERR_ADAPTOR_STATE_CORRUPT', `${where} is no JSON object`);
  const raw = { ...root };
  const version = versionOf(raw);
  const { sandbox, repaired } = readRecord(migrate(raw), id, {
    defaults,
    instanceName: pod => instanceName(pod, id),
  });
  if (sandbox.id !== id)
    throw new AdaptorError(
      'ERR_ADAPTOR_STATE_CORRUPT',
      `${where} speaks of sandbox ${JSON.stringify(sandbox.id.slice(0, 128))}, not of its own`,
    );
  return {
    sandbox,
    repaired:
      version > RECORD_VERSION
        ? [`version ${version} of a later adaptor, this one knows up to ${RECORD_VERSION}`, ...repaired]
        : repaired,
  };
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AdaptorError('ERR_ADAPTOR_STATE_CORRUPT', `${where} is not JSON`, { cause });
  }
}
