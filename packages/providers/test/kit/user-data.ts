// SPDX-License-Identifier: Apache-2.0
// user-data as the adaptor writes it, with certificates made at run time, and the adaptor's side of the same link.
import { Authority, checkMaterial, selfSignedClient } from '@peerpod-tls/certs';
import type { LinkSecurity } from '@peerpod-tls/link';
import { renderApf, renderCloudConfig } from '@peerpod-tls/user-data';

export interface RealUserData {
  readonly userData: string;
  /** A line of the private key, as it stands in the user-data. */
  readonly secret: string;
  /** What a dial to the instance needs; the server name is the one the user-data was made for. */
  readonly security: LinkSecurity;
}

/** Makes user-data for an instance whose certificate carries `name`. */
export async function realUserData(name: string): Promise<RealUserData> {
  const authority = await Authority.create();
  const server = await authority.issue('server', { names: [name] });
  const client = await selfSignedClient();
  const material = checkMaterial({
    role: 'client',
    cert: { pem: client.certPem, file: 'client.crt', flag: '-cert-file' },
    key: { pem: client.keyPem, file: 'client.key', flag: '-cert-key' },
    anchors: { pem: authority.certPem, file: 'ca.crt', flag: '-ca-cert-file' },
  });
  const apf = renderApf({
    podNetwork: {},
    podNamespace: 'default',
    podName: 'pod',
    tlsServerCert: server.certPem,
    tlsServerKey: server.keyPem,
    tlsClientCa: client.certPem,
  });
  return {
    userData: renderCloudConfig([{ path: '/run/peerpod/apf.json', content: apf }]),
    secret: server.keyPem.split('\n')[1] ?? '',
    security: { t: 'tls', material: () => material, profile: { minVersion: 'TLSv1.3' } },
  };
}
