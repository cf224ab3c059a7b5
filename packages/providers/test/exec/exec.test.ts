// SPDX-License-Identifier: Apache-2.0
// The exec provider when scripts do not do as they should, and what an operator reads then.
import { chmodSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startTime } from '../../src/host/vm-processes.js';
import { ANSWER, CREATE, DELETE, idsOf, makeExecWorld, signal, spec } from '../kit/exec-world.js';
import { eventually } from '../../../../test/kit/log.js';

const options = { token: 'box1.1', signal };
const KEY = 'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPDPKpP0m8r7q3d1a';

const failures: readonly {
  readonly name: string;
  readonly body: string;
  readonly message: RegExp;
  readonly hint?: RegExp;
}[] = [
  {
    name: 'an exit code, with the end of standard error',
    body: `${CREATE}echo first >&2; echo "quota exceeded" >&2; exit 7`,
    message: /^-create-command ended with exit code 7: quota exceeded$/,
    hint: /first\nquota exceeded/,
  },
  {
    name: 'an id and then a failure',
    body: `${CREATE}${ANSWER}exit 1`,
    message: /^-create-command ended with exit code 1$/,
  },
  { name: 'nothing printed', body: CREATE, message: /gave no instance: it printed nothing/ },
  { name: 'rubbish', body: `${CREATE}echo created i-1`, message: /did not print one JSON object/ },
  { name: 'two documents', body: `${CREATE}${ANSWER}${ANSWER}`, message: /did not print one JSON object/ },
  {
    name: 'no address',
    body: `${CREATE}printf '{"id":"i-%s","ips":[]}' "$token"`,
    message: /gave no instance: ips has no address/,
  },
  {
    name: 'a name for an address',
    body: `${CREATE}printf '{"id":"i-%s","ips":["vm.example"]}' "$token"`,
    message: /ips\[0\] is no IP address/,
  },
  {
    name: 'an address of nobody',
    body: `${CREATE}printf '{"id":"i-%s","ips":["10.0.0.1","0.0.0.0"]}' "$token"`,
    message: /ips\[1\] is no address of a host/,
  },
  {
    name: 'a field of its own',
    body: `${CREATE}printf '{"id":"i-%s","addresses":["10.0.0.1"]}' "$token"`,
    message: /addresses is a key that does not belong there/,
  },
  {
    name: 'an id that is a flag',
    body: `${CREATE}printf '{"id":"-rf","ips":["10.0.0.1"]}'`,
    message: /id has to be/,
  },
  {
    name: 'output without end',
    body: `${CREATE}yes`,
    message: /printed more than an answer can be/,
  },
  { name: 'a death', body: `${CREATE}kill -9 $$`, message: /-create-command was ended by SIGKILL/ },
];

t.test('whatever a create command does wrong is named, and what it made is deleted', async t => {
  for (const { name, body, message, hint } of failures) {
    const world = makeExecWorld(t);
    const create = world.script('create', body);
    const remove = world.script('delete', DELETE);
    const provider = await world.provider(['-create-command', create, '-delete-command', remove]);
    const wanted = { code: 'ERR_PROVIDER_CREATE', message, instance: undefined };
    await t.rejects(
      provider.createInstance(spec(), options),
      hint === undefined ? wanted : { ...wanted, hint },
      name,
    );
    t.same(world.machines(), [], name);
    t.same(await provider.listInstances(signal), [], name);
    t.match(readFileSync(join(world.directory, 'deletions'), 'utf8'), 'box1.1', name);
  }
});

t.test('the document says what is wanted, and holds the user-data alone', async t => {
  const world = makeExecWorld(t);
  const kept = [
    'INITDATA',
    'NOTIFY_SOCKET',
    'WATCHDOG_PID',
    'WATCHDOG_USEC',
    'LISTEN_FDS',
    'LISTEN_PID',
    'PEERPOD_READY_FD',
  ];
  for (const name of [...kept, 'EXAMPLE_TOKEN']) process.env[name] = 'set by the test';
  t.teardown(() => {
    for (const name of [...kept, 'EXAMPLE_TOKEN']) delete process.env[name];
  });
  const create = world.script('create', `env >environment; echo "$@" >arguments; ${CREATE}${ANSWER}`);
  const remove = world.script('delete', `echo "$1" >argument; cat >document`);
  const provider = await world.provider([
    '-create-command',
    `${create} -zone 'a b' "c\\"d" e\\ f`,
    '-delete-command',
    remove,
  ]);
  const asked = spec({
    userData: `key: ${KEY}\n`,
    image: 'im',
    instanceType: 'big',
    vcpus: 2,
    memoryMiB: 512,
  });
  t.same(await provider.createInstance(asked, options), {
    id: 'i-box1.1',
    name: 'n-box1.1',
    addresses: [readAddress(world.directory)],
    token: 'box1.1',
  });
  const document: unknown = JSON.parse(readFileSync(join(world.directory, 'machine-box1.1'), 'utf8'));
  t.match(document, { version: 1, token: 'box1.1', owner: /^[0-9a-f]{8}$/, ...asked, gpus: 0 });
  t.equal(readFileSync(join(world.directory, 'arguments'), 'utf8'), '-zone a b c"d e f\n');
  const environment = readFileSync(join(world.directory, 'environment'), 'utf8');
  t.notMatch(environment, KEY);
  for (const name of kept)
    t.notMatch(environment, new RegExp(`^${name}=`, 'm'), `${name} is the adaptor's own`);
  t.match(
    environment,
    /^EXAMPLE_TOKEN=set by the test$/m,
    'what a script may need of the environment reaches it',
  );
  t.match(environment, /^PEERPOD_FORWARDER_PORT=15150$/m);
  t.match(environment, `PEERPOD_NODE=${process.execPath}\n`);
  for (const file of tableFiles(world.directory)) {
    t.notMatch(readFileSync(file, 'utf8'), KEY);
    t.equal(statSync(file).mode & 0o777, 0o600);
  }
  await provider.deleteInstance('i-box1.1', signal);
  t.equal(readFileSync(join(world.directory, 'argument'), 'utf8'), 'i-box1.1\n');
  t.match(JSON.parse(readFileSync(join(world.directory, 'document'), 'utf8')), {
    version: 1,
    id: 'i-box1.1',
    name: 'n-box1.1',
    token: 'box1.1',
    sandbox: 'box1',
  });
  t.notMatch(world.log.text(), KEY);
});

/** The address ANSWER made of the token. */
function readAddress(directory: string): string {
  const [file] = tableFiles(directory);
  return /192\.0\.2\.\d+/.exec(readFileSync(file ?? '', 'utf8'))?.[0] ?? '';
}

const tableFiles = (directory: string): string[] =>
  readdirSync(join(directory, 'table'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name));

t.test('user-data that a script repeats on standard error stays out of errors and logs', async t => {
  const world = makeExecWorld(t);
  const create = world.script('create', `set -x; echo "$(cat)" >&2; echo "no capacity" >&2; exit 1`);
  const remove = world.script('delete', DELETE);
  const provider = await world.provider(['-create-command', create, '-delete-command', remove]);
  const userData = `-----BEGIN PRIVATE KEY-----\n${KEY}\nnWr3hQ2o8mZpL1c\n-----END PRIVATE KEY-----\nshort: c2VjcmV0LW9mLXRoZS1wb2Q9\n`;
  const error = await provider.createInstance(spec({ userData }), options).catch((e: unknown) => e);
  t.match(error, { message: /ended with exit code 1: /, hint: /no capacity/ });
  const hint = typeof error === 'object' && error !== null && 'hint' in error ? String(error.hint) : '';
  for (const piece of [KEY, KEY.slice(8), 'nWr3hQ2o8mZpL1c', 'c2VjcmV0LW9mLXRoZS1wb2Q9']) {
    t.notOk((hint + String(error)).includes(piece), piece.slice(0, 8));
    t.notOk(world.log.text().includes(piece), piece.slice(0, 8));
  }
});

t.test('a command that does not end is ended, with everything it started', async t => {
  const world = makeExecWorld(t);
  const stubborn = world.script(
    'create',
    `${CREATE}sh -c 'trap "" TERM; echo $$ >child; sleep 60' & trap 'exit 9' TERM; wait`,
  );
  const remove = world.script('delete', DELETE);
  const argv = ['-create-command', stubborn, '-delete-command', remove];
  const provider = await world.provider([...argv, '-exec-timeout', '1s']);
  await t.rejects(provider.createInstance(spec(), options), {
    code: 'ERR_PROVIDER_CREATE',
    message: /-create-command did not end within 1 s \(-exec-timeout\)/,
  });
  const child = Number(readFileSync(join(world.directory, 'child'), 'utf8'));
  t.ok(child > 1);
  t.equal(startTime(child), null, 'also the child that would not hear SIGTERM');
  t.same(world.machines(), []);
});

t.test('a deletion that fails is the caller’s to repeat, by the id of the instance', async t => {
  const world = makeExecWorld(t);
  const create = world.script('create', `${CREATE}exit 1`);
  const remove = world.script(
    'delete',
    `[ -f open ] || { echo "the cloud is away" >&2; exit 4; }\n${DELETE}`,
  );
  const argv = ['-create-command', create, '-delete-command', remove];
  const provider = await world.provider(argv);
  const error = await provider.createInstance(spec(), options).catch((e: unknown) => e);
  t.match(error, {
    code: 'ERR_PROVIDER_CREATE',
    message: /exit code 1; what it may have made is still to be deleted/,
    cause: {
      code: 'ERR_PROVIDER_DELETE',
      message: /-delete-command ended with exit code 4: the cloud is away/,
    },
    instance: { id: /^unfinished:[0-9a-f]{24}$/, name: 'podvm-web-box1', addresses: [], token: 'box1.1' },
  });
  // The adaptor restarts meanwhile: the instance is still listed, by its token, and can be deleted.
  const again = await world.provider(argv);
  const [left] = await again.listInstances(signal);
  t.match(left, { token: 'box1.1', addresses: [] });
  await t.rejects(again.deleteInstance(left?.id ?? '', signal), { code: 'ERR_PROVIDER_DELETE' });
  await t.rejects(again.createInstance(spec(), options), { message: /an earlier attempt left could not be/ });
  writeFileSync(join(world.directory, 'open'), '');
  await again.deleteInstance(left?.id ?? '', signal);
  t.same(world.machines(), []);
  t.same(await again.listInstances(signal), []);
  t.match(readFileSync(join(world.directory, 'deletions'), 'utf8'), 'deleted nothing box1.1');
});

t.test('an id that is another instance’s leads to no deletion of that one', async t => {
  const world = makeExecWorld(t);
  const create = world.script('create', `${CREATE}printf '{"id":"i-same","ips":["192.0.2.1"]}'`);
  const remove = world.script('delete', DELETE);
  const provider = await world.provider(['-create-command', create, '-delete-command', remove]);
  await provider.createInstance(spec(), options);
  await t.rejects(provider.createInstance(spec(), { token: 'box2.1', signal }), {
    message: /gave an id that belongs to another instance/,
  });
  t.same(idsOf(await provider.listInstances(signal)), ['i-same']);
  t.equal(readFileSync(join(world.directory, 'deletions'), 'utf8'), 'deleted nothing box2.1\n');
});

t.test('a script that the adaptor did not outlive is ended, and what it made is deleted', async t => {
  const world = makeExecWorld(t);
  // Answers only when told to, as a cloud that takes minutes.
  const create = world.script(
    'create',
    `${CREATE}echo $$ >running; while [ ! -f go ]; do sleep 0.05; done\n${ANSWER}`,
  );
  const remove = world.script('delete', DELETE);
  const argv = ['-create-command', create, '-delete-command', remove];
  const killed = await world.provider(argv);
  const lost = killed.createInstance(spec(), options).catch((error: unknown) => error);
  const running = join(world.directory, 'running');
  t.ok(await eventually(() => existsSync(running) && readFileSync(running, 'utf8') !== ''));
  const pid = Number(readFileSync(running, 'utf8'));
  // Another adaptor over the same table, as after kill -9: it knows the token and the process.
  const next = await world.provider(argv);
  const [left] = await next.listInstances(signal);
  t.match(left, { token: 'box1.1', id: /^unfinished:/ });
  await next.deleteInstance(left?.id ?? '', signal);
  t.equal(startTime(pid), null);
  t.same(world.machines(), []);
  t.same(await next.listInstances(signal), []);
  t.match(await lost, { code: 'ERR_PROVIDER_CREATE' });
});

t.test(
  'with a list command, what the platform has counts, and a half-made instance is found in it',
  async t => {
    const world = makeExecWorld(t);
    const create = world.script('create', `${CREATE}exit 1`);
    const remove = world.script('delete', `[ -f open ] || exit 1\n${DELETE}`);
    const list = world.script('list', `cat >asked; cat list.json`);
    const answer = (text: string): void => writeFileSync(join(world.directory, 'list.json'), text);
    answer('{"instances":[]}');
    const argv = ['-create-command', create, '-delete-command', remove, '-list-command', list];
    const provider = await world.provider(argv);
    await t.rejects(provider.createInstance(spec(), options));
    answer(
      '{"instances":[{"id":"i-box1.1","token":"box1.1"},{"id":"i-lost","name":"podvm-old","ips":["::1"]}]}',
    );
    t.match(await provider.listInstances(signal), [
      { id: /^unfinished:/, token: 'box1.1' },
      { id: 'i-lost', name: 'podvm-old', addresses: ['::1'] },
    ]);
    t.match(JSON.parse(readFileSync(join(world.directory, 'asked'), 'utf8')), {
      version: 1,
      owner: /^[0-9a-f]{8}$/,
    });
    writeFileSync(join(world.directory, 'open'), '');
    for (const { id } of await provider.listInstances(signal)) await provider.deleteInstance(id, signal);
    t.match(
      readFileSync(join(world.directory, 'deletions'), 'utf8'),
      /^deleted i-box1.1 [^]*deleted i-lost /,
    );
    for (const [text, message] of [
      ['', /gave no list: it printed nothing/],
      ['[]', /did not print one JSON object/],
      ['{"instances":[{"id":"a"},{"id":"a"}]}', /instances\[1\]: the id is in the list twice/],
      ['{"instances":[{"id":"a","ips":["x"]}]}', /instances\[0\]\.ips\[0\] is no IP address/],
      ['{"instances":[7]}', /instances\[0\] is a number, not an object/],
    ] as const) {
      answer(text);
      await t.rejects(provider.listInstances(signal), { code: 'ERR_PROVIDER_LIST', message }, text);
    }
  },
);

t.test('what cannot work is refused before anything is served', async t => {
  const world = makeExecWorld(t);
  const ok = world.script('ok', 'exit 0');
  const plain = world.script('plain', '');
  chmodSync(plain, 0o644);
  const rows: readonly (readonly [string[], RegExp])[] = [
    [[], /needs -create-command/],
    [['-create-command', ok], /needs -delete-command/],
    [['-create-command', '/no/such/thing', '-delete-command', ok], /there is no program "\/no\/such\/thing"/],
    [['-create-command', 'no-such-thing', '-delete-command', ok], /no program "no-such-thing" in PATH/],
    [['-create-command', plain, '-delete-command', ok], /plain may not be executed/],
    [
      ['-create-command', `${ok} | tee x`, '-delete-command', ok],
      /"\|" in it, which only a shell understands/,
    ],
    [['-create-command', `${ok} "x`, '-delete-command', ok], /double quote that is not closed/],
    [['-create-command', `${ok} 'x`, '-delete-command', ok], /single quote that is not closed/],
    [['-create-command', `${ok} x\\`, '-delete-command', ok], /ends with a backslash/],
    [['-create-command', ok, '-delete-command', ok, '-data-dir', 'here'], /-data-dir .*not an absolute path/],
    [
      ['-create-command', ok, '-delete-command', ok, '-data-dir', join(world.podsDir, 'x')],
      /lies in the pods directory/,
    ],
  ];
  for (const [argv, message] of rows) {
    await t.rejects(world.provider(argv), { code: 'ERR_PROVIDER_CONFIG', message }, String(message));
  }
  const noScript = world.script('binary', '');
  writeFileSync(noScript, '#!/no/such/interpreter\n', { mode: 0o755 });
  const provider = await world.provider(['-create-command', noScript, '-delete-command', ok]);
  await t.rejects(provider.createInstance(spec(), options), {
    code: 'ERR_PROVIDER_UNAVAILABLE',
    message: /could not be started: it, or the interp/,
  });
  t.same(await provider.listInstances(signal), []);
});

t.test('a record nobody can read is set aside and said', async t => {
  const world = makeExecWorld(t);
  const create = world.script('create', `${CREATE}${ANSWER}`);
  const argv = ['-create-command', create, '-delete-command', world.script('delete', DELETE)];
  const provider = await world.provider(argv);
  await provider.createInstance(spec(), options);
  const [file] = tableFiles(world.directory);
  writeFileSync(file ?? '', '{"version":1}');
  t.same(await provider.listInstances(signal), []);
  t.match(await world.log.next('instance record set aside'), { level: 'error', file: /\.unreadable-\d+$/ });
});

t.test('what the first version wrote is still known, with whatever a later one added to it', async t => {
  const world = makeExecWorld(t);
  const argv = [
    '-create-command',
    world.script('create', `${CREATE}${ANSWER}`),
    '-delete-command',
    world.script('delete', DELETE),
  ];
  const provider = await world.provider(argv);
  await provider.createInstance(spec(), options);
  const [file = ''] = tableFiles(world.directory);
  // As version 0.1.0 writes it, with a field of a version to come.
  const record =
    '{"version":1,"token":"box1.1","sandbox":"box1","asked":"podvm-web-box1","begun":"2026-01-01T00:00:00.000Z",' +
    '"state":"created","command":null,"id":"i-box1.1","name":"n","addresses":["192.0.2.9"],"zone":"a"}';
  writeFileSync(file, record);
  t.match(await provider.listInstances(signal), [{ id: 'i-box1.1', name: 'n', addresses: ['192.0.2.9'] }]);
});
