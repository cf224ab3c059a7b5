// SPDX-License-Identifier: Apache-2.0
// Certificate files as the field has them, given to the real program: what is refused is refused at the start, with
// file, flag and reason, and what does no harm is said and served.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Authority } from '@peerpod-tls/certs';
import t from 'tap';
import { noOpenssl } from '../../../certs/test/support.js';
import { withOddDate } from '../../../trust/test/kit/certificates.js';
import { Program } from '../support/program.js';
import { check, clientSecurity, dial, makeWorld, startAgent } from '../support/world.js';
import type { World } from '../support/world.js';

const KEY = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

function shell(world: World, script: string): (name: string) => string {
  execFileSync('bash', ['-ec', script], { cwd: world.directory, stdio: 'pipe' });
  return name => readFileSync(join(world.directory, name), 'utf8');
}

const flagsFor = (world: World, name: string, cert: string, key: string): string[] => [
  `-cert-file=${world.file(`${name}.crt`, cert)}`,
  `-cert-key=${world.file(`${name}.key`, key)}`,
];

t.test(
  'what no link could be made with stops the start, naming file, flag and reason',
  { skip: noOpenssl },
  async t => {
    const world = await makeWorld(t);
    const { certPem, keyPem } = world.server;
    const made = shell(
      world,
      `openssl req -x509 -newkey rsa:2048 -nodes -days 9 -keyout ca.key -out ca.crt -subj /CN=ca
     openssl req -new -newkey rsa:2048 -nodes -keyout pss.key -out pss.csr -subj /CN=podvm-test
     openssl x509 -req -in pss.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 9 -sha1 -sigopt rsa_padding_mode:pss \\
       -extfile <(echo subjectAltName=DNS:podvm-test) -out pss.crt`,
    );
    const many = await Promise.all(
      Array.from({ length: 501 }, (_, n) =>
        Authority.create({ subject: { O: 'x'.repeat(64), CN: `${'y'.repeat(60)}${n}` } }),
      ),
    );
    const rows: readonly (readonly [name: string, flags: readonly string[], said: RegExp])[] = [
      [
        'a date with a sixtieth second',
        flagsFor(world, 'odd', withOddDate(certPem), keyPem),
        /odd\.crt.*-cert-file.*notAfter/,
      ],
      [
        'a signature by SHA-1 in PSS',
        flagsFor(world, 'sha1', made('pss.crt'), made('pss.key')),
        /sha1\.crt.*-cert-file.*(SHA-?1|sha1)/,
      ],
      [
        'more anchors than TLS can list',
        [`-ca-cert-file=${world.file('many.crt', many.map(authority => authority.certPem).join(''))}`],
        /many\.crt.*-ca-cert-file.*65.?535/,
      ],
    ];
    await Promise.all(
      rows.map(async ([name, flags, said]) => {
        const program = new Program(t, [...world.argv, ...flags]);
        t.match(await program.exited, { code: 1 }, name);
        t.match(program.stderr, said, name);
        t.notMatch(program.stderr, /\n\s+at |RangeError|Invalid time value|PRIVATE KEY/, `${name}: no stack`);
      }),
    );
  },
);

t.test(
  'an odd anchor among good ones, and a certificate nobody needs, are told and left out',
  { skip: noOpenssl },
  async t => {
    const world = await makeWorld(t);
    await startAgent(t, world);
    const made = shell(
      world,
      `openssl req -x509 ${KEY} -days 9 -keyout root.key -out root.crt -subj /CN=root
     openssl req -x509 ${KEY} -days 9 -keyout old.key -out old.crt -subj /CN=old
     openssl req -new -key root.key -out root.csr -subj /CN=root
     openssl x509 -req -in root.csr -CA old.crt -CAkey old.key -CAcreateserial -days -1 \\
       -extfile <(echo basicConstraints=critical,CA:true) -out cross.crt
     openssl req -new ${KEY} -keyout between.key -out between.csr -subj /CN=between
     openssl x509 -req -in between.csr -CA root.crt -CAkey root.key -CAcreateserial -days 9 \\
       -extfile <(echo basicConstraints=critical,CA:true) -out between.crt
     openssl req -new ${KEY} -keyout leaf.key -out leaf.csr -subj /CN=podvm-test
     openssl x509 -req -in leaf.csr -CA between.crt -CAkey between.key -CAcreateserial -days 8 \\
       -extfile <(printf '%s\\n' subjectAltName=DNS:podvm-test extendedKeyUsage=serverAuth) -out leaf.crt`,
    );
    const odd = withOddDate((await Authority.create({ subject: { O: 'odd' } })).certPem);
    const program = new Program(t, [
      ...world.argv,
      ...flagsFor(
        world,
        'chain',
        [made('leaf.crt'), made('between.crt'), made('cross.crt')].join(''),
        made('leaf.key'),
      ),
      `-ca-cert-file=${world.file('anchors.crt', [odd, world.client.certPem].join(''))}`,
    ]);
    const port = await program.port();
    const flaws = program
      .lines()
      .filter(({ msg }) => msg === 'certificates have a flaw')
      .map(line => String(line['warning']));
    t.match(
      flaws.find(flaw => /anchors\.crt/.test(flaw)),
      /anchor 1.*-ca-cert-file.*O=odd.*notAfter/,
    );
    t.match(
      flaws.find(flaw => /chain\.crt/.test(flaw)),
      /certificate 3.*CN=root.*expired/,
    );
    const security = clientSecurity(world, world.client, made('root.crt'));
    await check(world, port, security);
    const link = await dial(world, port, security);
    t.ok(
      (link.peer.expiresAt?.getTime() ?? 0) > Date.now() + 7 * 86_400_000,
      'the way in use decides how long a link lives',
    );
    link.close();

    const knock = connect(port, '127.0.0.1').on('error', () => {});
    knock.end(Buffer.from('1603010005', 'hex'));
    await once(knock, 'close');
    await check(world, port, security);
    t.equal(program.child.exitCode, null);
  },
);
