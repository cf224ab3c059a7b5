// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MARK, findMarked, sweep } from '../../src/demo/sweep.js';
import { shortDirectory } from '../support/program.js';

t.test(
  'only processes with exactly this mark are found and ended, children that ignore signals too',
  async t => {
    const dir = join(shortDirectory(t), 'd');
    mkdirSync(dir);
    writeFileSync(join(dir, 'file'), '');
    const start = async (env: NodeJS.ProcessEnv) => {
      const script = 'trap "" TERM INT HUP; echo up; sleep 600 & wait';
      const child = spawn('sh', ['-c', script], {
        env: { PATH: process.env['PATH'], ...env },
        detached: true,
      });
      t.teardown(() => {
        try {
          process.kill(-(child.pid ?? 0), 'SIGKILL');
        } catch {
          // Ended already.
        }
      });
      await once(child.stdout, 'data');
      return child;
    };
    const ours = await start({ [MARK]: dir });
    const others = [
      await start({ [MARK]: `${dir}/below` }),
      await start({ [`NOT_${MARK}`]: dir }),
      await start({ OTHER: `${MARK}=${dir}` }),
    ];
    const found = findMarked(dir);
    t.ok(found.includes(ours.pid ?? 0));
    t.equal(found.length, 2, 'the shell and its child');
    t.same(findMarked(dir, new Set(found)), []);
    const ended = once(ours, 'exit');
    sweep(dir, { keep: false });
    t.same(await ended, [null, 'SIGKILL']);
    t.same(findMarked(dir), []);
    t.notOk(existsSync(dir));
    for (const other of others) t.equal(other.exitCode ?? other.signalCode, null, 'the others live');
  },
);
