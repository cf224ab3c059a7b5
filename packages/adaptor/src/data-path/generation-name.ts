// SPDX-License-Identifier: Apache-2.0
// What a generation of the proxy is called: by the program it is and the settings it was started with, so that an
// adaptor finds its own again and leaves others be.
import { createHash } from 'node:crypto';
import { commit, VERSION } from '@peerpod-tls/daemon/version';

/** What a proxy is told once, when it starts. Another value is another generation. */
export interface ProxySettings {
  /** Where shims ask for VMs. */
  readonly socket: string;
  readonly threads: number;
  readonly drainMs: number;
  readonly logLevel: string;
  readonly logFormat: string;
}

const COMMIT_LENGTH = 12;
const DIGEST_LENGTH = 8;

/** `<version>-<commit>-<digest of the settings>`, fit for the name of a directory. */
export function generationName(settings: ProxySettings, version: string = VERSION): string {
  const { socket, threads, drainMs, logLevel, logFormat } = settings;
  const digest = createHash('sha256')
    .update(JSON.stringify([socket, threads, drainMs, logLevel, logFormat]))
    .digest('hex');
  const program = commit()
    .replaceAll(/[^0-9A-Za-z]/g, '')
    .slice(0, COMMIT_LENGTH);
  return `${version}-${program}-${digest.slice(0, DIGEST_LENGTH)}`;
}
