// SPDX-License-Identifier: Apache-2.0
// The life of a process, step by step, with real processes and real signals.
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import t from 'tap';
import { createLogger } from '../src/log.js';
import { runServices, type Service } from '../src/run-services.js';
import { daemonProgram } from './fixtures/program.js';

const fixture = await daemonProgram();
t.teardown(() => fixture.remove());
const { NOTIFY_SOCKET: _, ...ENV } = process.env;

interface Scope {
  teardown(fn: () => unknown): void;
}

/** Starts the fixture; `until` waits for text on either stream, `end` for its exit. */
function program(t: Scope, env: Record<string, string> = {}) {
  const child = spawn('env', fixture.argv(), {
    env: { ...ENV, ...env },
    stdio: 'pipe',
  });
  t.teardown(() => void child.kill('SIGKILL'));
  const out = { stdout: '', stderr: '' };
  const changed = new EventEmitter();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      out[name] += text;
      changed.emit('change');
    });
  }
  const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const until = async (text: string) => {
    while (!out.stdout.includes(text) && !out.stderr.includes(text)) await once(changed, 'change');
  };
  return {
    child,
    out,
    until,
    end: async () => ({ code: (await exited)[0], lines: out.stdout.trim().split('\n') }),
  };
}

t.test('SIGTERM closes in reverse order and ends with 0', async t => {
  const { child, until, end } = program(t);
  await until('ready');
  child.kill('SIGTERM');
  t.strictSame(await end(), {
    code: 0,
    lines: [
      'first started',
      'second started',
      'ready',
      'second closing',
      'second closed',
      'first closed',
      'result 0',
    ],
  });
});

t.test('the last line of the log says ended, however it came to that', async t => {
  const last = (text: string): unknown => text.trim().split('\n').at(-1);
  const good = program(t);
  await good.until('ready');
  good.child.kill('SIGTERM');
  await good.end();
  t.match(last(good.out.stderr), /"exitCode":0,"seconds":0,"msg":"ended"/);
  const bad = program(t, { MODE: 'start-fails' });
  await bad.end();
  t.match(last(bad.out.stderr), /"exitCode":1,"seconds":0,"msg":"ended"/);
  const twice = program(t, { MODE: 'start-hangs' });
  await twice.until('second starting');
  twice.child.kill('SIGTERM');
  await twice.until('drain started');
  twice.child.kill('SIGTERM');
  t.match(await twice.end(), { code: 1 }, 'a start that hangs does not hold up the second signal');
  t.match(last(twice.out.stderr), /ended at once/);
});

t.test('SIGINT does the same', async t => {
  const { child, until, end } = program(t);
  await until('ready');
  child.kill('SIGINT');
  t.match(await end(), { code: 0 });
});

t.test('open work finishes during the drain', async t => {
  const { child, until, end } = program(t, { MODE: 'close-waits' });
  await until('ready');
  child.kill('SIGTERM');
  await until('second closing');
  child.stdin.write('go on\n');
  const { code, lines } = await end();
  t.equal(code, 0);
  t.strictSame(lines.slice(-3), ['second closed', 'first closed', 'result 0']);
});

t.test('a second signal ends with 1 at once', async t => {
  const { child, out, until, end } = program(t, { MODE: 'close-hangs' });
  await until('ready');
  child.kill('SIGTERM');
  await until('second closing');
  child.kill('SIGTERM');
  const { code, lines } = await end();
  t.equal(code, 1);
  t.equal(lines.at(-1), 'second closing');
  t.match(out.stderr, /second signal received, ended at once/);
});

t.test('when the drain timer ends first the result is 1, and the log names who hung', async t => {
  const { child, out, until, end } = program(t, { MODE: 'close-hangs', DRAIN_MS: '50' });
  await until('ready');
  child.kill('SIGTERM');
  const { code, lines } = await end();
  t.equal(code, 1);
  t.equal(lines.at(-1), 'result 1');
  t.match(out.stderr, /"service":"second".*drain timer ended/);
});

t.test('SIGHUP reloads; a failed reload is logged, and the next one runs', async t => {
  const { child, out, until, end } = program(t, { MODE: 'reload-fails' });
  await until('ready');
  child.kill('SIGHUP');
  await until('reload failed, old state kept');
  child.kill('SIGHUP');
  await until('"service":"first","msg":"service reloaded"');
  child.kill('SIGTERM');
  t.match(await end(), { code: 0 });
  t.match(out.stderr, /"message":"bad file"/);
  t.match(out.stdout, /first reloads 1\nfirst reloads 2/);
});

t.test('SIGHUP during the drain is heard and ignored', async t => {
  const { child, out, until, end } = program(t, { MODE: 'close-waits' });
  await until('ready');
  child.kill('SIGTERM');
  await until('second closing');
  child.kill('SIGHUP');
  await until('reload ignored while draining');
  child.stdin.write('go on\n');
  t.match(await end(), { code: 0 });
  t.notMatch(out.stdout, /first reloads/);
});

t.test('a reload that hangs does not keep the process from stopping', async t => {
  const { child, until, end } = program(t, { MODE: 'reload-hangs' });
  await until('ready');
  child.kill('SIGHUP');
  await until('first reloads 1');
  child.kill('SIGTERM');
  t.match(await end(), { code: 0 });
});

t.test('a start that fails closes what had started and is reported', async t => {
  const { end } = program(t, { MODE: 'start-fails' });
  t.strictSame(await end(), {
    code: 1,
    lines: ['first started', 'second closing', 'second closed', 'first closed', 'fixture: no luck'],
  });
});

t.test('a signal while starting aborts the start and ends with 0', async t => {
  const { child, until, end } = program(t, { MODE: 'start-waits' });
  await until('second starting');
  child.kill('SIGTERM');
  const { code, lines } = await end();
  t.equal(code, 0);
  t.strictSame(lines.slice(-2), ['first closed', 'result 0']);
});

t.test('a start that does not hear the signal is given up after the drain time', async t => {
  const { child, until, end } = program(t, { MODE: 'start-hangs', DRAIN_MS: '50' });
  await until('second starting');
  child.kill('SIGTERM');
  t.match(await end(), {
    code: 0,
    lines: [
      'first started',
      'second starting',
      'second closing',
      'second closed',
      'first closed',
      'result 0',
    ],
  });
});

t.test('services that do not close cleanly are all told, and all named', async t => {
  const { child, out, until, end } = program(t, { MODE: 'close-fails' });
  await until('ready');
  child.kill('SIGTERM');
  t.match(await end(), { code: 1 });
  t.match(
    out.stdout,
    /first closed\nfixture: not everything closed cleanly\n {2}because: second broke; first broke/,
  );
  const signals = new EventEmitter();
  await t.rejects(
    runServices({
      services: [{ name: 'only', start: async () => {}, close: () => Promise.reject(new Error('broke')) }],
      log: createLogger({ name: 'test', level: 'silent' }),
      drainMs: 1000,
      signals,
      onReady: () => void signals.emit('SIGTERM'),
    }),
    { code: 'ERR_DAEMON_CLOSE' },
  );
});

t.test('at debug the log says what each service does, and at info it does not', async t => {
  for (const [level, seen] of [
    ['debug', true],
    ['info', false],
  ] as const) {
    const lines: string[] = [];
    const log = createLogger({ name: 'test', level, destination: { write: line => void lines.push(line) } });
    const signals = new EventEmitter();
    const services = [{ name: 'only', start: async () => {}, close: async () => {} }];
    await runServices({ services, log, drainMs: 1000, signals, onReady: () => void signals.emit('SIGTERM') });
    for (const event of ['service starting', 'service started', 'service closing'])
      t.equal(
        lines.some(line => line.includes(`"service":"only"`) && line.includes(event)),
        seen,
        event,
      );
    t.match(lines.at(-1), /"ended"/);
  }
});

t.test('a service that fails later closes the others and is reported', async t => {
  const { end } = program(t, { MODE: 'fails-later' });
  const { code, lines } = await end();
  t.equal(code, 1);
  t.strictSame(lines.slice(-4), ['second closing', 'second closed', 'first closed', 'fixture: lost it']);
});

t.test('signals can come from elsewhere, and all listeners are taken off at the end', async t => {
  const signals = new EventEmitter();
  const log = createLogger({ name: 'test', level: 'silent' });
  const exits: number[] = [];
  let release = (): void => undefined;
  const service: Service = {
    name: 'only',
    start: async () => undefined,
    close: () => new Promise(resolve => (release = resolve)),
  };
  const options = {
    services: [service],
    log,
    drainMs: 10_000,
    signals,
    exit: (code: number) => void exits.push(code),
    env: {},
  };
  const result = runServices({
    ...options,
    onReady: () => void setImmediate(() => signals.emit('SIGTERM', 'SIGTERM')),
  });
  await once(signals, 'SIGTERM');
  t.strictSame(exits, []);
  signals.emit('SIGINT', 'SIGINT');
  t.strictSame(exits, [1]);
  await new Promise(resolve => setImmediate(resolve));
  release();
  t.equal(await result, 0);
  t.strictSame(signals.eventNames(), []);
});
