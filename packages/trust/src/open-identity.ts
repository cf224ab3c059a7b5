// SPDX-License-Identifier: Apache-2.0
// The adaptor's identity, opened: decided by its TLS mode, proved, told in the log, watched, and read again on a reload.
import { proveMaterial } from '@peerpod-tls/link';
import type { Logger } from 'pino';
import { clientFiles } from './client-files.js';
import { watchExpiries } from './expiry-watch.js';
import { openIdentityFiles } from './identity-files.js';
import { automaticIdentity, disabledIdentity, manualIdentity, type Identity } from './identity.js';
import { LiveMaterial } from './live-material.js';
import type { TlsMode } from './tls-mode.js';

export interface OpenIdentityOptions {
  readonly tls: TlsMode;
  /** Where automatic mode keeps what it made. */
  readonly stateDir: string;
  readonly log: Logger;
  /** Called after each attempt to put other material in force. */
  readonly onReload: (ok: boolean) => void;
}

export interface OpenIdentity {
  readonly identity: Identity;
  /** Reads brought files again; the other modes have nothing to read. @throws TrustError; what was in force stays */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/** @throws TrustError or CertError, naming the file and the flag */
export async function openIdentity(o: OpenIdentityOptions): Promise<OpenIdentity> {
  const { identity, created, live } = await identityOf(o);
  o.log.info({ mode: identity.mode, ...identity.describe(), created }, 'identity ready');
  const expiries = watchExpiries(() => identity.expiries(), o.log);
  live?.watch();
  return {
    identity,
    async reload() {
      await live?.reload();
      expiries.look();
    },
    async close() {
      expiries.close();
      await live?.close();
    },
  };
}

interface Made {
  readonly identity: Identity;
  /** Whether a CA was made just now. */
  readonly created: boolean;
  readonly live: LiveMaterial | null;
}

async function identityOf({ tls, stateDir, log, onReload }: OpenIdentityOptions): Promise<Made> {
  switch (tls.t) {
    case 'disabled':
      return { identity: disabledIdentity(), created: false, live: null };
    case 'automatic': {
      const { created, ...files } = await openIdentityFiles(stateDir, tls.algorithm);
      await proveMaterial(files.client, tls.link.profile);
      return {
        identity: automaticIdentity({ ...files, algorithm: tls.algorithm, link: tls.link }),
        created,
        live: null,
      };
    }
    case 'manual': {
      const live = await LiveMaterial.open({ source: clientFiles(tls, tls.link), log, onReload });
      return { identity: manualIdentity(live, tls.link), created: false, live };
    }
  }
}
