// SPDX-License-Identifier: Apache-2.0
// `peerpod certs issue`: a server or client certificate of an authority made by `certs init` or by hand.
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { Authority, type TlsRole, type SubjectName, describeCertificate, readPem } from '@peerpod-tls/certs';
import { ExitCode, type Io, jsonFlag, readCommandLine } from '../command.js';
import { usageError } from '../usage.js';
import { MANUAL_SERVER_NAME, fileNames, keyTypes, pairPaths, refuseOverwrite, writePair } from './files.js';
import { certificateLines } from './show.js';

const flags = {
  ca: {
    type: 'string',
    default: '.',
    placeholder: 'DIR',
    describe: `directory with ${fileNames.authority.cert} and ${fileNames.authority.key}`,
  },
  out: { type: 'string', placeholder: 'DIR', describe: 'directory for the result; left out: the one of -ca' },
  name: {
    type: 'list',
    placeholder: 'NAME,...',
    describe: `DNS names and addresses of the certificate; left out: ${MANUAL_SERVER_NAME} for a server, none for a client`,
  },
  'common-name': { type: 'string', placeholder: 'CN', describe: 'common name; left out: the first name' },
  organization: {
    type: 'string',
    placeholder: 'O',
    describe: 'organization; left out: the program the certificate is for',
  },
  'key-type': { type: 'choice', choices: keyTypes, default: 'ecdsa-p256', describe: 'kind of the new key' },
  csr: {
    type: 'string',
    placeholder: 'FILE',
    describe: 'certify the key of this signing request instead of making one',
  },
  days: {
    type: 'integer',
    default: 730,
    min: 1,
    max: 36_500,
    describe: 'days it is valid, at most as long as the authority',
  },
  force: { type: 'boolean', default: false, describe: 'replace files that are there already' },
  ...jsonFlag,
} as const;

const organizations = { server: 'agent-protocol-forwarder', client: 'cloud-api-adaptor' } as const;

export async function issue(argv: readonly string[], io: Io): Promise<number> {
  const line = readCommandLine(
    {
      name: 'certs issue',
      usage: 'server|client [flags]',
      about:
        'Issues a certificate: tls.crt and tls.key for the pod VM (server), client.crt and client.key for the adaptor (client).',
      flags,
      words: { min: 1, max: 1, missing: 'certs issue needs to know what for: server or client' },
      examples: [
        ['peerpod certs issue server --ca pki --out pki', `tls.crt for ${MANUAL_SERVER_NAME}`],
        ['peerpod certs issue client --ca pki --out pki', 'client.crt for cloud-api-adaptor'],
        ['peerpod certs issue server --ca pki --name podvm-server,10.0.0.7 --days 90', 'several names'],
      ],
    },
    argv,
    io,
  );
  if (line === null) return ExitCode.ok;
  const { values } = line;
  const profile = profileOf(line.words[0] ?? '');
  const out = values.out ?? values.ca;
  const paths = pairPaths(out, profile, values.csr === undefined);
  refuseOverwrite(paths, values.force, 'programs that use the old ones keep them until they reload');
  const authority = loadAuthority(values.ca);
  const names = values.name.length === 0 && profile === 'server' ? [MANUAL_SERVER_NAME] : values.name;
  const request = { names, subject: subjectOf(profile, names, values), lifetimeDays: values.days };

  let certPem: string;
  if (values.csr === undefined) {
    const issued = await authority.issue(profile, { ...request, algorithm: values['key-type'] });
    certPem = issued.certPem;
    await writePair(paths, certPem, issued.keyPem);
  } else {
    certPem = authority.signCsr(readPem(values.csr, '-csr').pem, profile, request);
    await writePair(paths, certPem, null);
  }
  const summary = describeCertificate(new X509Certificate(certPem));
  if (values.json) {
    io.stdout.write(`${JSON.stringify({ files: paths, certificate: summary }, null, 2)}\n`);
    return ExitCode.ok;
  }
  io.stdout.write(
    [paths.cert, paths.key]
      .filter(path => path !== null)
      .map(path => `${path}\n`)
      .join(''),
  );
  const text = certificateLines(summary, line.err, new Date(), io.stderr.columns).map(l => `  ${l}\n`);
  io.stderr.write(text.join('') + nextStep(profile, out, values.ca));
  return ExitCode.ok;
}

function profileOf(word: string): TlsRole {
  if (word === 'server' || word === 'client') return word;
  throw usageError(
    `${JSON.stringify(word)} is no kind of certificate`,
    'server is for the pod VM (agent-protocol-forwarder), client for the worker node (cloud-api-adaptor)',
  );
}

function loadAuthority(dir: string): Authority {
  const cert = readPem(join(dir, fileNames.authority.cert), '-ca');
  const key = readPem(join(dir, fileNames.authority.key), '-ca');
  return Authority.load(cert.pem, key.pem);
}

function subjectOf(
  profile: TlsRole,
  names: readonly string[],
  values: { readonly organization?: string | undefined; readonly 'common-name'?: string | undefined },
): SubjectName {
  const O = values.organization ?? organizations[profile];
  // X.520 allows 64 characters; a longer name is in the SAN, where it counts, and nowhere else.
  const CN = values['common-name'] ?? names.find(name => name.length <= 64);
  return CN === undefined ? { O } : { O, CN };
}

function nextStep(profile: TlsRole, out: string, ca: string): string {
  return profile === 'server'
    ? `for the pod VM: put tls.crt, tls.key and ${join(ca, fileNames.authority.cert)} where agent-protocol-forwarder finds them\n`
    : `for the worker: cloud-api-adaptor PROVIDER -ca-cert-file ${join(ca, 'ca.crt')} -cert-file ${join(out, 'client.crt')} -cert-key ${join(out, 'client.key')}\n`;
}
