// SPDX-License-Identifier: Apache-2.0
// `peerpod certs issue`: a server or client certificate of an authority made by `certs init` or by hand.
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { Authority, type TlsRole, type SubjectName, describeCertificate, readPem } from '@peerpod-tls/certs';
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { usageError } from '../usage.js';
import { pairPaths, refuseOverwrite, writePair } from './files.js';
import { MANUAL_SERVER_NAME, fileNames, type keyTypes } from './names.js';
import { certificateLines } from './show.js';

const organizations = { server: 'agent-protocol-forwarder', client: 'cloud-api-adaptor' } as const;

export interface IssueValues {
  readonly ca: string;
  readonly out: string | undefined;
  readonly name: readonly string[];
  readonly 'common-name': string | undefined;
  readonly organization: string | undefined;
  readonly 'key-type': (typeof keyTypes)[number];
  readonly csr: string | undefined;
  readonly days: number;
  readonly force: boolean;
  readonly json: boolean;
}

export async function issue({ values, words, err }: Line<IssueValues>, io: Io): Promise<number> {
  const profile = profileOf(words[0] ?? '');
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
  const text = certificateLines(summary, err, new Date(), io.stderr.columns).map(l => `  ${l}\n`);
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
