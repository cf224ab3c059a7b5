// SPDX-License-Identifier: Apache-2.0
// Certificate files in every wrong state, given to both daemons by flag: two lines that name the file, the flag and the
// way out, exit code 1, and nothing that listens.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Authority } from '@peerpod-tls/certs';
import { localFlags, socketIn } from '../../kit/adaptor-program.js';
import { daysAgo, MANUAL_NAME } from '../../kit/certificates.js';
import { withOddDate } from '../../../packages/trust/test/kit/certificates.js';
import { isRoot } from '../../kit/directory.js';
import { run, type Ended } from '../../kit/program.js';
import { isSlowRun } from '../../kit/slow.js';

interface Files {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

type Spoil = (files: Files) => void;

const NOBODY = 65_534;
/** Programs that run at the same time. */
const WIDTH = 4;

const base = mkdtempSync(join(tmpdir(), 'sysf-'));
chmodSync(base, 0o755);
t.teardown(() => rmSync(base, { recursive: true, force: true }));

const authority = await Authority.create({ subject: { CN: 'root' }, now: daysAgo(60) });
const stranger = await Authority.create({ subject: { CN: 'stranger' } });
const sides = {
  'cloud-api-adaptor': { role: 'client', other: 'server', names: [] },
  'agent-protocol-forwarder': { role: 'server', other: 'client', names: [MANUAL_NAME] },
} as const;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function listens(where: { port: number; host: string } | { path: string }): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(where);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** The file is not what its place asks for: what the message has to say, and of which file. */
interface Row {
  readonly what: string;
  readonly of: keyof Files;
  readonly spoil: Spoil;
  readonly fact: RegExp;
  readonly hint: RegExp;
  readonly uid?: number;
}

const FLAG: Readonly<Record<keyof Files, string>> = {
  ca: '-ca-cert-file',
  cert: '-cert-file',
  key: '-cert-key',
};
const HALF = '-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIU\n';

for (const program of ['cloud-api-adaptor', 'agent-protocol-forwarder'] as const) {
  const { role, other, names } = sides[program];
  const good = await authority.issue(role, { names: [...names] });
  const wrongPurpose = await authority.issue(other, { names: ['podvm-server'] });
  const expired = await authority.issue(role, { names: [...names], now: daysAgo(40), lifetimeDays: 10 });
  const unborn = await authority.issue(role, { names: [...names], now: daysAgo(-2) });
  const foreign = await stranger.issue(role, { names: [...names] });
  const put =
    (pair: { certPem: string; keyPem: string }): Spoil =>
    files => {
      writeFileSync(files.cert, pair.certPem);
      writeFileSync(files.key, pair.keyPem);
    };
  const text =
    (of: keyof Files, content: string): Spoil =>
    files =>
      writeFileSync(files[of], content);
  const onEachFile = (of: keyof Files): Row[] => [
    {
      what: 'missing',
      of,
      spoil: files => rmSync(files[of]),
      fact: /does not exist/,
      hint: /check the path given to -/,
    },
    {
      what: 'a directory',
      of,
      spoil: files => {
        rmSync(files[of]);
        mkdirSync(files[of]);
      },
      fact: /is a directory/,
      hint: /give a file to -\S+/,
    },
    { what: 'empty', of, spoil: text(of, ''), fact: /is empty/, hint: /write the PEM text into it/ },
    {
      what: 'no PEM',
      of,
      spoil: text(of, 'hello\n'),
      fact: /holds no (certificate|private key)/,
      hint: /a block that begins with -----BEGIN/,
    },
    ...(isRoot
      ? [
          {
            what: 'unreadable',
            of,
            spoil: (files: Files) => chmodSync(files[of], 0o000),
            fact: /may not be read by this user/,
            hint: /let the user of this program read/,
            uid: NOBODY,
          },
        ]
      : []),
  ];
  const everyFile = [...onEachFile('ca'), ...onEachFile('cert'), ...onEachFile('key')];
  // Both daemons read files by the same code; every kind on every file is tried with one of them, and with both when slow.
  const kinds = everyFile.length / 3;
  const thorough = isSlowRun || program === 'agent-protocol-forwarder';
  const rows: readonly Row[] = [
    ...everyFile.filter((_, at) => thorough || Math.floor(at / kinds) === (at % kinds) % 3),
    {
      what: 'certificate cut short',
      of: 'cert',
      spoil: text('cert', good.certPem.slice(0, 300)),
      fact: /the block begun in line 1 does not end/,
      hint: /copy it again/,
    },
    {
      what: 'certificate cut inside a line',
      of: 'cert',
      spoil: text('cert', `${HALF}-----END CERTIFICATE-----\n`),
      fact: /block begun in line 1 is no certificate/,
      hint: /copy the file again/,
    },
    {
      what: 'key cut short',
      of: 'key',
      spoil: text('key', good.keyPem.slice(0, 100)),
      fact: /the block begun in line 1 does not end/,
      hint: /copy it again/,
    },
    {
      what: 'anchor cut short',
      of: 'ca',
      spoil: text('ca', HALF),
      fact: /the block begun in line 1 does not end/,
      hint: /copy it again/,
    },
    {
      what: 'anchor that is a key',
      of: 'ca',
      spoil: text('ca', good.keyPem),
      fact: /holds no certificate; it is a private key/,
      hint: /give -ca-cert-file the certificate/,
    },
    {
      what: 'key of another certificate',
      of: 'key',
      spoil: text('key', foreign.keyPem),
      fact: /does not belong to the certificate in .*tls\.pem \(-cert-file\)/,
      hint: /files that were made together/,
    },
    {
      what: 'expired',
      of: 'cert',
      spoil: put(expired),
      fact: /expired at \S+; the clock here says/,
      hint: /have a new one issued and give it to -cert-file/,
    },
    {
      what: 'not yet valid',
      of: 'cert',
      spoil: put(unborn),
      fact: /is valid from \S+ on; the clock here says/,
      hint: /set the clock/,
    },
    {
      what: 'a date nobody can read',
      of: 'cert',
      spoil: text('cert', withOddDate(good.certPem)),
      fact: /notAfter/,
      hint: /./,
    },
    {
      what: 'wrong purpose',
      of: 'cert',
      spoil: put(wrongPurpose),
      fact: new RegExp(`cannot be used for a TLS ${role}: its extended key usage`),
      hint: /have it issued with .*extendedKeyUsage/,
    },
  ];
  t.test(`${program}: ${rows.length} spoiled files`, { timeout: 60_000 }, async t => {
    const left = rows.map((row, index) => ({ row, index }));
    const worker = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const { row, index } = next;
        const directory = join(base, `${role}${index}`);
        mkdirSync(directory, { mode: 0o777 });
        chmodSync(directory, 0o777);
        const files = {
          ca: join(directory, 'ca.pem'),
          cert: join(directory, 'tls.pem'),
          key: join(directory, 'tls.key'),
        };
        writeFileSync(files.ca, authority.certPem);
        put(good)(files);
        row.spoil(files);
        await check(t, program, directory, files, row);
      }
    };
    await Promise.all(Array.from({ length: WIDTH }, worker));
  });
}

async function check(
  t: Test,
  program: keyof typeof sides,
  directory: string,
  files: Files,
  row: Row,
): Promise<void> {
  const flags = [`-ca-cert-file=${files.ca}`, `-cert-file=${files.cert}`, `-cert-key=${files.key}`];
  const port = await freePort();
  const config = join(directory, 'apf.json');
  writeFileSync(config, '{"pod-network":{},"pod-namespace":"d","pod-name":"p"}');
  const o = row.uid === undefined ? {} : { uid: row.uid };
  const ended: Ended =
    program === 'cloud-api-adaptor'
      ? await run(t, program, [...localFlags(directory), ...flags], o)
      : await run(
          t,
          'agent-protocol-forwarder',
          ['-config', config, '-listen', `127.0.0.1:${port}`, ...flags],
          o,
        );
  const name = `${FLAG[row.of]} ${row.what}`;
  t.equal(ended.code, 1, `${name}: exit code`);
  const last = ended.stderr
    .trimEnd()
    .split('\n')
    .filter(line => !line.startsWith('{'));
  t.match(last[0], new RegExp(`^${program}: .*${files[row.of]}`), `${name}: names program and file`);
  t.match(last[0], new RegExp(`${FLAG[row.of]}\\b`), `${name}: names the flag`);
  t.match(last[0], row.fact, `${name}: says what is wrong`);
  t.match(last.at(-1), /^ {2}\S/, `${name}: way out below it`);
  t.match(last.at(-1), row.hint, `${name}: and which`);
  t.notMatch(ended.stderr, /\n\s+at |-----END/, `${name}: no stack, no key`);
  t.notOk(existsSync(socketIn(directory)), `${name}: no socket`);
  t.equal(await listens({ host: '127.0.0.1', port }), false, `${name}: nothing listens`);
}
