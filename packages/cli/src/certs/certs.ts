// SPDX-License-Identifier: Apache-2.0
// `peerpod certs`: chooses between init, issue and inspect. The work is in their own files.
import { type Command, ExitCode, type Io, examplesText } from '../command.js';
import { nearest } from '@peerpod-tls/daemon';
import { usageError } from '../usage.js';

const verbs = ['init', 'issue', 'inspect'] as const;

const HELP = `Usage: peerpod certs init DIR [flags]
       peerpod certs issue server|client [flags]
       peerpod certs inspect FILE|DIR... [flags]

Makes and reads the certificates of manual TLS mode, under the file names that the pod VM image and the adaptor expect:
  ca.crt ca.key            the authority; ca.key never leaves the machine it was made on
  tls.crt tls.key          the pod VM's server certificate (agent-protocol-forwarder)
  client.crt client.key    the worker node's client certificate (cloud-api-adaptor)

peerpod certs <verb> -help shows the flags of each.
`;

const examples = [
  ['peerpod certs init pki', 'a new authority in pki/'],
  ['peerpod certs issue server --ca pki --out pki', 'pki/tls.crt and pki/tls.key for podvm-server'],
  ['peerpod certs issue client --ca pki --out pki', 'pki/client.crt and pki/client.key'],
  ['peerpod certs inspect pki', 'check everything in pki/'],
] as const;

export const certs: Command = {
  name: 'certs',
  summary: 'make an authority, issue certificates, say why one would be refused',
  async run(argv, io) {
    const [verb, ...rest] = argv;
    switch (verb) {
      case 'init':
        return (await import('./init.js')).init(rest, io);
      case 'issue':
        return (await import('./issue.js')).issue(rest, io);
      case 'inspect':
        return (await import('./inspect.js')).inspect(rest, io);
      case undefined:
        throw usageError('certs needs to know what to do', `say one of ${verbs.join(', ')}`);
      default:
        return help(verb, io);
    }
  },
};

function help(verb: string, io: Io): number {
  if (/^--?h(elp)?$/u.test(verb) || verb === 'help') {
    io.stdout.write(HELP + examplesText(examples));
    return ExitCode.ok;
  }
  const near = nearest(verb, verbs);
  throw usageError(
    `${JSON.stringify(verb)} is nothing that certs does`,
    near === undefined ? `say one of ${verbs.join(', ')}` : `did you mean peerpod certs ${near}?`,
  );
}
