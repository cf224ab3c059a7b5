// SPDX-License-Identifier: Apache-2.0
// A pod VM inside the test's process: reads its user-data as a guest would, listens with what the user-data says, and answers
// as an agent does. Real sockets, real TLS, real ttrpc; only the machine is missing.
import { agentService, healthService } from '@peerpod-tls/agent-protocol';
import { checkMaterial, parseTlsProfile, type TlsMaterial } from '@peerpod-tls/certs';
import { listenLink, type LinkListener, type ListenSecurity } from '@peerpod-tls/link';
import { implement, TtrpcServer } from '@peerpod-tls/ttrpc';
import { parseApf, parseCloudConfig } from '@peerpod-tls/user-data';
import { pino } from 'pino';

export interface VmOptions {
  readonly address: string;
  readonly port: number;
  readonly userData: string;
  /** Where calls that reach the agent are noted. */
  readonly calls: string[];
  /** The pair a manual image would carry; its anchors verify the adaptor. */
  readonly image?: TlsMaterial;
  /** An impostor listens with this instead of what the user-data says. */
  readonly impostor?: ListenSecurity;
}

const silent = pino({ level: 'silent' });

export class Vm {
  readonly address: string;
  readonly created: { readonly annotations: Record<string, string> }[] = [];
  /** Calls that reached the agent, by method. */
  readonly calls: string[];
  #listener: LinkListener | null = null;
  readonly #o: VmOptions;
  #server: TtrpcServer | null = null;

  constructor(o: VmOptions) {
    this.#o = o;
    this.calls = o.calls;
    this.address = o.address;
  }

  async boot(): Promise<void> {
    const server = new TtrpcServer({ services: this.#services() });
    this.#server = server;
    this.#listener = await listenLink({
      host: this.#o.address,
      port: this.#o.port,
      security: this.#o.impostor ?? securityOf(this.#o),
      onPeer: peer => void server.serve(peer.socket, peer.peer),
      log: silent,
    });
  }

  #services(): ConstructorParameters<typeof TtrpcServer>[0]['services'] {
    return [
      implement(healthService, {
        Check: () => {
          this.calls.push('Check');
          return { status: 1 };
        },
      }),
      implement(agentService, {
        GetGuestDetails: () => {
          this.calls.push('GetGuestDetails');
          return {};
        },
        CreateContainer: request => {
          this.calls.push('CreateContainer');
          this.created.push({ annotations: { ...request.OCI?.Annotations } });
          return {};
        },
        WaitProcess: (_request, { signal }) => {
          this.calls.push('WaitProcess');
          return new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason), { once: true });
          });
        },
      }),
    ];
  }

  /** Cuts every link, as a network does, and listens again at once. */
  async cut(): Promise<void> {
    this.#server?.destroy();
    await this.#listener?.close();
    await this.boot();
  }

  async shutdown(): Promise<void> {
    this.#server?.destroy();
    await this.#listener?.close();
  }
}

function securityOf(o: VmOptions): ListenSecurity {
  const apf = parseCloudConfig(o.userData).find(file => file.path === '/run/peerpod/apf.json');
  if (apf === undefined) throw new Error('the user-data has no apf.json');
  const { config } = parseApf(apf.content);
  const profile = parseTlsProfile(
    { minVersion: config.tlsMinVersion ?? '', cipherSuites: config.tlsCipherSuites ?? [] },
    { minVersion: 'tls-min-version', cipherSuites: 'tls-cipher-suites' },
  );
  const { image } = o;
  if (image !== undefined) return { t: 'tls', material: () => image, profile };
  if (config.tlsServerCert === undefined) return { t: 'plain' };
  const material = checkMaterial({
    role: 'server',
    cert: { pem: config.tlsServerCert, file: 'apf.json', flag: 'tls-server-cert' },
    key: { pem: config.tlsServerKey ?? '', file: 'apf.json', flag: 'tls-server-key' },
    anchors: { pem: config.tlsClientCa ?? '', file: 'apf.json', flag: 'tls-client-ca' },
  });
  return { t: 'tls', material: () => material, profile };
}
