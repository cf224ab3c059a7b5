// SPDX-License-Identifier: Apache-2.0
// What every provider does alike, as one suite over real instances: made once per token, with an address and the user-data
// byte for byte, deleted whole, known again after a restart, and nothing left of what failed or was given up.
import { isIP } from 'node:net';
import type { Logger } from 'pino';
import type { Test } from 'tap';
import { leftBehind } from '../../src/errors.js';
import type { Instance, InstanceSpec, Provider } from '../../src/provider.js';
import { captureLog } from '../../../../test/kit/log.js';

/** A platform to try a provider on, made for one run of the suite. */
export interface ConformanceWorld {
  /** A provider as an adaptor makes it. A second call is the adaptor after a restart: same flags, same directories. */
  provider(log: Logger): Promise<Provider>;
  /** The same flags and directories in the hands of another adaptor, one with another pods directory. */
  stranger(log: Logger): Promise<Provider>;
  /** What instances of this platform boot with; `realUserData` in user-data.ts makes one. */
  readonly userData: string;
  /** What a piece of the user-data is that must be found in no log and no error; left out: the longest line of it. */
  readonly secret?: string;
  /** What this platform needs in every request: an image, a size. */
  readonly spec?: Partial<InstanceSpec>;
  /** The user-data as the instance gets to see it (read where the platform keeps it, or inside). */
  readUserData(instance: Instance): Promise<string>;
  /** Everything that exists for this world's adaptor and stranger: processes, containers, files. Empty: nothing is left. */
  leftovers(): Promise<readonly string[]> | readonly string[];
  /** A provider over the same directories, or a request, with which a creation fails after something was made. */
  broken(log: Logger): Promise<{ readonly provider: Provider; readonly spec?: Partial<InstanceSpec> }>;
  /** Milliseconds after which a creation is in its middle, for giving it up there. Default 30. */
  readonly middleMs?: number;
  /** Milliseconds within which a creation that was given up has to settle. Default 15 000. */
  readonly settleMs?: number;
}

/** Ids that are nobody's, among them some that would do harm as a path, a flag or a name. */
const STRANGE_IDS = [
  '',
  '.',
  '..',
  '../../../etc',
  '/',
  '-rf',
  '--help',
  'a b',
  'a\nb',
  'a\0b',
  '0123456789ab',
];

/**
 * Runs the suite as subtests of `t`. It makes two instances, one more for a failure repaired, and two that are given up.
 * `make` may skip or fail `t` itself.
 */
export async function conformance(t: Test, world: ConformanceWorld): Promise<void> {
  const { log, text } = captureLog();
  const errors: string[] = [];
  const run = `${process.pid.toString(36)}${Date.now().toString(36).slice(-5)}`;
  const spec = (n: number, more: Partial<InstanceSpec> = {}): InstanceSpec => ({
    sandbox: `conf-${run}-${n}`,
    name: `podvm-conf-${run}-${n}`,
    podName: `conf-${n}`,
    podNamespace: 'default',
    userData: world.userData,
    instanceType: '',
    image: '',
    vcpus: 0,
    memoryMiB: 0,
    gpus: 0,
    ...world.spec,
    ...more,
  });
  const token = (n: number): string => `conf-${run}-${n}.1`;
  const never = new AbortController().signal;
  const open: Provider[] = [];
  const provider = async (): Promise<Provider> => {
    const made = await world.provider(log);
    open.push(made);
    return made;
  };
  const create = (from: Provider, n: number, signal = never): Promise<Instance> =>
    from.createInstance(spec(n), { token: token(n), signal });
  const idsOf = async (of: Provider): Promise<string[]> =>
    (await of.listInstances(never)).map(({ id }) => id).sort();
  /** What the adaptor does with a creation that failed: deletes what it left, if the error names something. */
  const rejected = async (of: Provider, creation: Promise<Instance>): Promise<unknown> => {
    const error = await creation.then(
      () => null,
      (reason: unknown) => reason ?? new Error('rejected with nothing'),
    );
    if (error !== null) errors.push(everythingIn(error));
    const left = leftBehind(error);
    if (left !== null) await of.deleteInstance(left.id, never);
    return error;
  };

  t.teardown(async () => {
    // Also after a failed test: nothing of this run stays on the platform.
    const last = await world.provider(log);
    for (const { id } of await last.listInstances(never)) await last.deleteInstance(id, never);
    for (const each of [...open, last]) await each.close();
  });

  const first = await provider();
  const made: Instance[] = [];

  await t.test('the configuration passes, the limits are usable, nothing is there yet', async t => {
    await first.verify?.(never);
    await first.check(never);
    t.ok(first.limits.userDataBytes >= Buffer.byteLength(world.userData));
    t.ok(first.limits.nameLength === 0 || first.limits.nameLength >= 15, 'a name can tell pods apart');
    t.same(await idsOf(first), []);
    t.same(await world.leftovers(), []);
  });

  await t.test('an instance is made with an address, and finds the user-data byte for byte', async t => {
    const one = await create(first, 1);
    made.push(one);
    t.ok(one.id !== '' && one.name !== '');
    t.ok(
      one.addresses.length > 0 && one.addresses.every(address => isIP(address) !== 0),
      String(one.addresses),
    );
    t.equal(await world.readUserData(one), world.userData);
    const [listed] = await first.listInstances(never);
    t.equal(listed?.id, one.id);
    t.ok(
      listed?.token === token(1) || (listed?.token === undefined && listed?.name === one.name),
      'findable',
    );
  });

  await t.test('the same token gives the same instance, asked later or twice at once', async t => {
    const again = await Promise.all([create(first, 1), create(first, 2), create(first, 2)]);
    const [one, two, too] = again;
    t.same(one, made[0]);
    t.same(two, too);
    made.push(two);
    t.not(two.id, made[0]?.id);
    t.notSame(two.addresses, made[0]?.addresses, 'each instance has an address of its own');
    t.same(await idsOf(first), made.map(({ id }) => id).sort());
  });

  await t.test('another adaptor on the same platform sees none of them, and deletes none', async t => {
    const stranger = await world.stranger(log);
    t.same(await idsOf(stranger), []);
    await stranger.close();
    t.same(await idsOf(first), made.map(({ id }) => id).sort());
  });

  await t.test('ids that are nobody’s are deleted without doing anything', async t => {
    for (const id of STRANGE_IDS) await t.resolves(first.deleteInstance(id, never), JSON.stringify(id));
    t.same(await idsOf(first), made.map(({ id }) => id).sort());
  });

  await t.test(
    'after a restart everything is known: listed, found by its token, deleted once and twice',
    async t => {
      await first.close();
      const second = await provider();
      const [one, two] = made;
      if (one === undefined || two === undefined) throw new Error('no instances to go on with');
      t.same(await idsOf(second), [one.id, two.id].sort());
      t.same((await create(second, 1)).addresses, one.addresses);
      await second.deleteInstance(one.id, never);
      t.same(await idsOf(second), [two.id]);
      await second.deleteInstance(one.id, never);
      await Promise.all([second.deleteInstance(two.id, never), second.deleteInstance(two.id, never)]);
      t.same(await idsOf(second), []);
      t.same(await world.leftovers(), []);
    },
  );

  await t.test(
    'a creation that fails half way leaves nothing, and the same token works afterwards',
    async t => {
      const { provider: broken, spec: wrong } = await world.broken(log);
      open.push(broken);
      const error = await rejected(
        broken,
        broken.createInstance(spec(3, wrong), { token: token(3), signal: never }),
      );
      t.match(error, { code: /^ERR_PROVIDER_/, message: /./ });
      const sound = await provider();
      t.same(await idsOf(sound), []);
      t.same(await world.leftovers(), []);
      const repaired = await create(sound, 3);
      t.equal(await world.readUserData(repaired), world.userData);
      await sound.deleteInstance(repaired.id, never);
      t.same(await world.leftovers(), []);
    },
  );

  await t.test('a creation that is given up settles soon and leaves nothing', async t => {
    const giving = await provider();
    const late = await rejected(giving, create(giving, 4, AbortSignal.abort(new Error('given up'))));
    t.ok(late !== null, 'given up before it began');
    t.same(await idsOf(giving), []);
    const middle = new AbortController();
    const creation = create(giving, 5, middle.signal);
    const watched = creation.catch(() => null);
    await new Promise(resolve => setTimeout(resolve, world.middleMs ?? 30));
    const began = performance.now();
    middle.abort(new Error('given up'));
    const outcome = await watched;
    t.ok(performance.now() - began < (world.settleMs ?? 15_000), 'settled in time');
    // A creation may win the race; then it is an instance like any other.
    if (outcome === null) await rejected(giving, creation);
    else await giving.deleteInstance(outcome.id, never);
    t.same(await idsOf(giving), []);
    t.same(await world.leftovers(), []);
  });

  await t.test('no log line and no error holds a piece of the user-data', async t => {
    const longest = world.userData
      .split('\n')
      .reduce((a, b) => (b.trim().length > a.length ? b.trim() : a), '');
    const secret = world.secret ?? longest;
    t.ok(secret.length >= 16, 'there is something to look for');
    t.notOk(text().includes(secret), 'in the log');
    t.notOk(errors.join('\n').includes(secret), 'in errors');
  });
}

/** Every text of an error: its own, its hint, and those of its causes. */
function everythingIn(error: unknown): string {
  const texts: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) {
    texts.push(at.message, 'hint' in at ? String(at.hint) : '', at.stack ?? '');
  }
  return texts.join('\n');
}
