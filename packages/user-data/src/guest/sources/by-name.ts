// SPDX-License-Identifier: Apache-2.0
// The sources by name.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '@peerpod-tls/base';
import { detectSource, type Detected, type SourceName } from '../detect.js';
import { SEED_FILE } from '../../guest-paths.js';
import { describeMachine } from '../machine.js';
import { alibabaSource } from './alibaba.js';
import { awsSource } from './aws.js';
import { azureSource } from './azure.js';
import { fileSource } from './file.js';
import { gcpSource } from './gcp.js';
import type { MetadataOptions } from './metadata.js';
import type { UserDataSource } from './source.js';

/** An upload into the seed directory shows the file before its content; this long without a change means complete. */
const SEED_SETTLED_MS = 300;

/** The source of that name; `file` is the seed file below `root`. */
export function sourceNamed(name: SourceName, root: string, options: MetadataOptions = {}): UserDataSource {
  switch (name) {
    case 'file':
      return fileSource(join(root, SEED_FILE), { settledMs: SEED_SETTLED_MS });
    case 'azure':
      return azureSource(options);
    case 'aws':
      return awsSource(options);
    case 'gcp':
      return gcpSource(options);
    case 'alibaba':
      return alibabaSource(options);
    default: {
      const never: never = name;
      throw new Error(`internal error: no source ${String(never)}`);
    }
  }
}

/** Looks at the machine below `root`. */
export async function detect(root: string): Promise<Detected> {
  return detectSource(await describeMachine(root), await isThere(join(root, SEED_FILE)));
}

/** What cannot be looked at is there: reading it then says why it cannot be read. */
async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    return codeOf(error) !== 'ENOENT';
  }
}
