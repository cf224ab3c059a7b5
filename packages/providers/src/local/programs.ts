// SPDX-License-Identifier: Apache-2.0
// Finds the programs a local pod VM is made of: in the workspace or node_modules, or beside the adaptor's single file.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ProviderError } from '../errors.js';

/** Paths of JavaScript files, each run by the Node that runs the adaptor. */
export interface LocalPrograms {
  /** Leads the VM: starts the others and ends with them. */
  readonly vm: string;
  readonly processUserData: string;
  readonly forwarder: string;
  readonly agent: string;
}

const programs = {
  vm: { entry: '@peerpod-tls/providers/local-vm', file: 'peerpod-local-vm' },
  processUserData: { entry: '@peerpod-tls/user-data/bin', file: 'process-user-data' },
  forwarder: { entry: '@peerpod-tls/forwarder/bin', file: 'agent-protocol-forwarder' },
  agent: { entry: '@peerpod-tls/dev-agent/bin', file: 'peerpod-dev-agent' },
} as const;

/**
 * Looks in `directory` when one is given, else where Node finds our packages, else beside this file.
 * @throws ProviderError ERR_PROVIDER_CONFIG naming what is missing and `-local-programs-dir`
 */
export function findPrograms(directory: string | undefined): LocalPrograms {
  return {
    vm: find('vm', directory),
    processUserData: find('processUserData', directory),
    forwarder: find('forwarder', directory),
    agent: find('agent', directory),
  };
}

function find(key: keyof typeof programs, directory: string | undefined): string {
  const { entry, file } = programs[key];
  const places =
    directory === undefined
      ? [installed(entry), ...besides(dirname(fileURLToPath(import.meta.url)), file)]
      : besides(directory, file);
  const found = places.find(place => place !== null && existsSync(place));
  if (typeof found === 'string') return found;
  throw new ProviderError(
    'ERR_PROVIDER_CONFIG',
    `the local provider needs ${file}, which is not in ${directory ?? 'the installation'}`,
    {
      hint: 'give -local-programs-dir, the directory that holds the single-file programs',
    },
  );
}

function besides(directory: string, file: string): string[] {
  return ['.cjs', '.js', ''].map(ending => join(directory, file + ending));
}

function installed(entry: string): string | null {
  try {
    return fileURLToPath(import.meta.resolve(entry));
  } catch {
    return null;
  }
}
