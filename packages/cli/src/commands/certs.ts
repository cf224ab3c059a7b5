// SPDX-License-Identifier: Apache-2.0
// `peerpod certs` on the command line: init, issue, inspect.
import { command, jsonFlag, roof } from '../command.js';
import { MANUAL_SERVER_NAME, fileNames, keyTypes } from '../certs/names.js';

const init = command({
  command: 'init <dir>',
  summary: 'make a certificate authority',
  about: `Makes a certificate authority: DIR/${fileNames.authority.cert} and DIR/${fileNames.authority.key}, in a directory of mode 0700.`,
  words: { dir: { describe: 'directory for the authority' } },
  missing: 'certs init needs a directory for the authority',
  flags: {
    'common-name': { type: 'string', default: 'peerpod-ca', describe: 'common name of the authority' },
    organization: { type: 'string', default: 'agent-protocol-forwarder', describe: 'its organization' },
    'key-type': { type: 'choice', choices: keyTypes, default: 'ecdsa-p256', describe: 'kind of its key' },
    days: { type: 'integer', default: 1825, min: 1, max: 36_500, describe: 'days it is valid' },
    force: { type: 'boolean', default: false, describe: 'replace an authority that is there already' },
    ...jsonFlag,
  },
  examples: [
    ['peerpod certs init pki', 'five years, ECDSA P-256'],
    ['peerpod certs init pki --key-type rsa-3072 --days 30', 'for peers that want RSA'],
  ],
  load: async () => (await import('../certs/init.js')).init,
});

const issue = command({
  command: 'issue <profile>',
  summary: 'issue a certificate for a pod VM or for an adaptor',
  about:
    'Issues a certificate: tls.crt and tls.key for the pod VM (server), client.crt and client.key for the adaptor (client).',
  words: { profile: { describe: 'what it is for: server or client' } },
  missing: 'certs issue needs to know what for: server or client',
  flags: {
    ca: {
      type: 'string',
      default: '.',
      describe: `directory with ${fileNames.authority.cert} and ${fileNames.authority.key}`,
    },
    out: { type: 'string', describe: 'directory for the result; left out: the one of -ca' },
    name: {
      type: 'list',
      describe: `DNS names and addresses of the certificate; left out: ${MANUAL_SERVER_NAME} for a server, none for a client`,
    },
    'common-name': { type: 'string', describe: 'common name; left out: the first name' },
    organization: {
      type: 'string',
      describe: 'organization; left out: the program the certificate is for',
    },
    'key-type': { type: 'choice', choices: keyTypes, default: 'ecdsa-p256', describe: 'kind of the new key' },
    csr: { type: 'string', describe: 'certify the key of this signing request instead of making one' },
    days: {
      type: 'integer',
      default: 730,
      min: 1,
      max: 36_500,
      describe: 'days it is valid, at most as long as the authority',
    },
    force: { type: 'boolean', default: false, describe: 'replace files that are there already' },
    ...jsonFlag,
  },
  examples: [
    ['peerpod certs issue server --ca pki --out pki', `tls.crt for ${MANUAL_SERVER_NAME}`],
    ['peerpod certs issue client --ca pki --out pki', 'client.crt for cloud-api-adaptor'],
    ['peerpod certs issue server --ca pki --name podvm-server,10.0.0.7 --days 90', 'several names'],
  ],
  load: async () => (await import('../certs/issue.js')).issue,
});

const inspect = command({
  command: 'inspect <path..>',
  summary: 'show certificates, and say why one would be refused',
  about:
    'Shows the certificates in files, and why a program or a peer would refuse them; exit code 1 when it would.\n' +
    'A directory is searched for the files of manual mode, which are then checked against each other.',
  words: { path: { describe: 'files or directories' } },
  missing: 'certs inspect needs a file or a directory',
  flags: {
    key: {
      type: 'string',
      describe: 'private key that should belong to the first certificate of the file',
    },
    ca: { type: 'string', describe: 'file of the certificates by which the peer would verify it' },
    role: {
      type: 'choice',
      choices: ['server', 'client'],
      describe: 'what it is for; left out: what its extended key usage says',
    },
    name: {
      type: 'string',
      describe: 'the name a client would dial, to be checked against a server certificate',
    },
    ...jsonFlag,
  },
  examples: [
    ['peerpod certs inspect pki', 'ca.crt, tls.crt and client.crt with their keys'],
    [
      'peerpod certs inspect tls.crt --key tls.key --ca ca.crt --name podvm-server',
      'as an adaptor would verify it',
    ],
  ],
  load: async () => (await import('../certs/inspect.js')).inspect,
});

export const certs = roof({
  command: 'certs',
  summary: 'make an authority, issue certificates, say why one would be refused',
  about: `Makes and reads the certificates of manual TLS mode, under the file names that the pod VM image and the adaptor expect:
  ca.crt ca.key            the authority; ca.key never leaves the machine it was made on
  tls.crt tls.key          the pod VM's server certificate (agent-protocol-forwarder)
  client.crt client.key    the worker node's client certificate (cloud-api-adaptor)`,
  verbs: [init, issue, inspect],
  examples: [
    ['peerpod certs init pki', 'a new authority in pki/'],
    ['peerpod certs issue server --ca pki --out pki', 'pki/tls.crt and pki/tls.key for podvm-server'],
    ['peerpod certs issue client --ca pki --out pki', 'pki/client.crt and pki/client.key'],
    ['peerpod certs inspect pki', 'check everything in pki/'],
  ],
});
