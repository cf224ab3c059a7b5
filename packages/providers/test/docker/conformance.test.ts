// SPDX-License-Identifier: Apache-2.0
// The docker provider against what every provider does alike, with user-data mounted and with user-data copied in.
import t from 'tap';
import type { Logger } from 'pino';
import { orReason } from '../../../../test/kit/docker-engine.js';
import { conformance } from '../kit/conformance.js';
import { DockerWorld } from '../kit/docker-world.js';
import { realUserData } from '../kit/user-data.js';

t.setTimeout(300_000);
const world = await orReason(() => DockerWorld.start());
if (typeof world === 'string') t.plan(0, world);
else {
  t.teardown(() => world.close());
  const guest = await realUserData('podvm-conformance');

  for (const how of ['mount', 'copy'] as const) {
    await t.test(`user-data by ${how}`, t => {
      const flags = [`-docker-user-data=${how}`];
      // Copied user-data is removed inside as soon as it was read, so these containers hold it and do nothing else.
      const keep = how === 'copy' ? ['-podvm-docker-image=peerpod-test-idle'] : [];
      const provider = (log: Logger, pods?: string) => world.provider(log, [...flags, ...keep], pods);
      return (async () => {
        await makeIdleImage(world);
        await conformance(t, {
          provider: log => provider(log),
          stranger: log => provider(log, 'other-pods'),
          userData: guest.userData,
          secret: guest.secret,
          leftovers: () => world.leftovers(),
          readUserData: async ({ id }) => {
            const read = await world.engine.docker('exec', id, 'cat', '/media/cidata/user-data');
            if (read.code !== 0) throw new Error(read.stderr);
            return read.stdout;
          },
          // Made, and then not startable: there is no such program in the image.
          broken: async log => ({
            provider: await world.provider(log, [...flags, '-podvm-docker-image=peerpod-test-broken']),
          }),
          middleMs: 150,
        });
      })();
    });
  }
}

async function makeIdleImage(world: DockerWorld): Promise<void> {
  const { engine } = world;
  const commit = async (tag: string, entrypoint: string): Promise<void> => {
    const { stdout } = await engine.docker('create', 'peerpod-pod-vm');
    const made = await engine.docker('commit', '--change', `ENTRYPOINT ${entrypoint}`, stdout.trim(), tag);
    if (made.code !== 0) throw new Error(made.stderr);
    await engine.docker('rm', stdout.trim());
  };
  await commit('peerpod-test-idle', '["sleep", "300"]');
  await commit('peerpod-test-broken', '["/no/such/program"]');
}
