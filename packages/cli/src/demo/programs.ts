// SPDX-License-Identifier: Apache-2.0
// Where the programs are that the demo starts: in the workspace, or as single files beside the bundled peerpod.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CliError } from '../errors.js';

/** The file to run for cloud-api-adaptor. */
export function adaptorProgram(): string {
  return (
    bundled('cloud-api-adaptor.cjs') ??
    programIn(
      '@peerpod-tls/adaptor/bin',
      'cloud-api-adaptor is not beside peerpod, so there is nothing to show',
    )
  );
}

/** The file to run as the demo's reaper. */
export function reaperProgram(): string {
  return (
    bundled('peerpod-demo-reaper.cjs') ??
    programIn(
      '@peerpod-tls/cli/demo-reaper',
      'peerpod-demo-reaper is not beside peerpod, so nobody would clean up',
    )
  );
}

/** A bundle holds this module too, so what lies beside the bundle lies beside `import.meta.url`. */
function bundled(name: string): string | undefined {
  const file = fileURLToPath(new URL(name, import.meta.url));
  return existsSync(file) ? file : undefined;
}

/** A program's file by its package. @throws CliError ERR_CLI_NO_PROGRAM */
export function programIn(specifier: string, missing: string): string {
  try {
    return fileURLToPath(import.meta.resolve(specifier));
  } catch (error) {
    throw new CliError('ERR_CLI_NO_PROGRAM', missing, {
      hint: 'put the files of the bundle into one directory, or run peerpod from the workspace',
      cause: error,
    });
  }
}
