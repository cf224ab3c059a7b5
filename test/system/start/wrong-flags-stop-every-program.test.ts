// SPDX-License-Identifier: Apache-2.0
// Mistakes on the command line and in the environment, for each program: what a person reads, and that nothing starts.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { temporary } from '../../kit/directory.js';
import { run, type ProgramName } from '../../kit/program.js';

interface Row {
  readonly argv: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly fact: RegExp;
  readonly hint: RegExp;
}

/** Programs that run at the same time. */
const WIDTH = 4;

t.test('each mistake is named with its value and the way out', { timeout: 60_000 }, async t => {
  const directory = temporary(t);
  const at = (name: string): string => join(directory, name);
  const local = ['local', `-socket=${at('h')}`, `-pods-dir=${at('pods')}`, `-data-dir=${at('vms')}`];
  const tables: Readonly<Record<ProgramName, { readonly code: number; readonly rows: readonly Row[] }>> = {
    'cloud-api-adaptor': {
      code: 1,
      rows: [
        {
          argv: [...local, '-pods-dri=x'],
          fact: /-pods-dri is not a flag/,
          hint: /did you mean -pods-dir\?/,
        },
        { argv: [...local, '-forwarder-port=many'], fact: /-forwarder-port .*"many"/, hint: /number/ },
        { argv: [...local, '-forwarder-port=65536'], fact: /-forwarder-port .*65536/, hint: /65535/ },
        { argv: [...local, '-proxy-timeout=5'], fact: /-proxy-timeout .*"5"/, hint: /5m|30s/ },
        { argv: [...local, '-proxy-timeout=-5s'], fact: /-proxy-timeout .*"?-5s/, hint: /1s/ },
        { argv: [...local, '-socket='], fact: /-socket .*(empty|no value)/, hint: /./ },
        { argv: [...local, '-socket'], fact: /-socket .*value/, hint: /./ },
        { argv: [...local, '-disable-tls=perhaps'], fact: /-disable-tls .*"perhaps"/, hint: /true/ },
        { argv: [...local, 'word'], fact: /"?word"?/, hint: /./ },
        { argv: local, env: { PROXY_TIMEOUT: 'soon' }, fact: /PROXY_TIMEOUT .*"soon"/, hint: /./ },
        { argv: local, env: { PROBE_PORT: 'x' }, fact: /PROBE_PORT .*"x"/, hint: /0 to 65535/ },
        {
          argv: [...local, '-tls-min-version=1.1'],
          fact: /"1\.1" in -tls-min-version/,
          hint: /VersionTLS1[23]/,
        },
        {
          argv: [...local, '-tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA'],
          fact: /TLS_RSA_WITH_RC4_128_SHA/,
          hint: /TLS_ECDHE/,
        },
        {
          argv: [...local, '-key-algorithm=rsa-1024'],
          fact: /-key-algorithm .*"rsa-1024"/,
          hint: /rsa-2048/,
        },
        {
          argv: [...local, '-status-address=nowhere'],
          fact: /-status-address .*"nowhere"/,
          hint: /127\.0\.0\.1:8000/,
        },
        {
          argv: [
            'local',
            `-socket=${at('x'.repeat(120))}`,
            `-pods-dir=${at('p')}`,
            `-data-dir=${at('v')}`,
            '-status-address=127.0.0.1:0',
          ],
          fact: /x{50}.*bytes/,
          hint: /short/,
        },
      ],
    },
    'agent-protocol-proxy': {
      code: 1,
      rows: [
        { argv: [`-socket=${at('h')}`], fact: /-directory is missing/, hint: /PROXY_DIR/ },
        {
          argv: [`-directroy=${at('p')}`],
          fact: /-directroy is not a flag/,
          hint: /did you mean -directory\?/,
        },
        {
          argv: [`-directory=${at('g')}`, `-socket=${at('x'.repeat(120))}`],
          fact: /x{50}.*bytes/,
          hint: /short/,
        },
        {
          argv: [`-directory=${at('g')}`, '-data-path-threads=0'],
          fact: /-data-path-threads .*0/,
          hint: /1/,
        },
      ],
    },
    'agent-protocol-forwarder': {
      code: 1,
      rows: [
        { argv: ['-conifg', 'x'], fact: /-conifg is not a flag/, hint: /did you mean -config\?/ },
        { argv: ['-max-links=none'], fact: /-max-links .*"none"/, hint: /number/ },
        { argv: ['-max-links=0'], fact: /-max-links .*0/, hint: /1/ },
        { argv: ['-agent-timeout=later'], fact: /-agent-timeout .*"later"/, hint: /./ },
        { argv: ['-listen='], fact: /-listen .*(empty|no value)/, hint: /./ },
        { argv: ['-listen=here'], fact: /-listen .*"here"/, hint: /0\.0\.0\.0:15150|host:port|:15150/i },
        { argv: ['-listen=127.0.0.1:70000'], fact: /-listen .*70000/, hint: /./ },
        { argv: ['-tls-skip-verify'], fact: /-tls-skip-verify/, hint: /leave it out/ },
      ],
    },
    'process-user-data': {
      code: 1,
      rows: [
        { argv: ['provision'], fact: /provision/, hint: /provision-files/ },
        { argv: ['provision-files', '-roto=/x'], fact: /-roto is not a flag/, hint: /did you mean -root\?/ },
        { argv: ['provision-files', '-t=soon'], fact: /-t\b.*"soon"|"soon"/, hint: /./ },
        { argv: ['provision-files', '-source='], fact: /-source .*(empty|no value)/, hint: /./ },
        {
          argv: ['provision-files', `-source=${at('none')}`, '-t=1', `-root=${directory}`],
          fact: /none/,
          hint: /./,
        },
      ],
    },
    'peerpod-dev-agent': {
      code: 1,
      rows: [
        { argv: ['-scoket=x'], fact: /-scoket is not a flag/, hint: /did you mean -socket\?/ },
        { argv: ['-socket='], fact: /-socket .*(empty|no value)/, hint: /./ },
        { argv: [`-socket=${at('x'.repeat(120))}`], fact: /x{50}.*bytes/, hint: /short/ },
        { argv: ['-log-level=loud'], fact: /-log-level .*"loud"/, hint: /info/ },
      ],
    },
    peerpod: {
      code: 2,
      rows: [
        { argv: ['dmeo'], fact: /dmeo/, hint: /demo/ },
        { argv: ['demo', '--onec'], fact: /onec is not a flag/, hint: /did you mean -once\?/ },
        {
          argv: ['agent', 'CraeteSandbox', '--socket', at('none')],
          fact: /CraeteSandbox/,
          hint: /CreateSandbox/,
        },
        { argv: ['stop'], fact: /stop needs the id of a sandbox/, hint: /peerpod stop -help/ },
        { argv: ['certs', 'isue'], fact: /isue/, hint: /issue/ },
      ],
    },
  };
  const names: readonly ProgramName[] = [
    'cloud-api-adaptor',
    'agent-protocol-proxy',
    'agent-protocol-forwarder',
    'process-user-data',
    'peerpod-dev-agent',
    'peerpod',
  ];
  const left = names.flatMap(name => tables[name].rows.map(row => ({ name, row, code: tables[name].code })));
  const worker = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const { name, row, code } = next;
      const what = `${name} ${row.argv.filter(word => !word.includes(directory)).join(' ')} ${JSON.stringify(row.env ?? {})}`;
      const ended = await run(t, name, row.argv, row.env === undefined ? {} : { env: row.env });
      t.equal(ended.code, code, `${what}: exit code`);
      const words = ended.stderr
        .trimEnd()
        .split('\n')
        .filter(line => !line.startsWith('{'));
      t.match(words[0], row.fact, `${what}: fact`);
      t.match(words.slice(1).join('\n'), row.hint, `${what}: way out`);
      t.notMatch(ended.stderr, /\n\s+at /, `${what}: no stack`);
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
  for (const file of readdirSync(directory)) t.notOk(/\.sock$|^h$/.test(file), `${file} is no socket`);
  t.notOk(existsSync(at('h')), 'nothing was served');
});
