// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { whyNotMade, type Failing } from '../../src/local/why-not-made.js';
import { temporary } from '../../../../test/kit/log.js';

const directory = temporary(t);
const console = path.join(directory, 'console.log');

/** The console of a VM whose process-user-data said this before its end. */
function failing(words: string, changes: Partial<Failing> = {}): Failing {
  const at = '2026-01-01T00:00:00.000Z';
  const lines = [`process-user-data: ${words}`, 'vm: powering off: process-user-data exited with code 1'];
  writeFileSync(console, lines.map(line => `${at} ${line}\n`).join(''));
  const cause = new Error('it ended while booting (code 1)');
  return {
    cause,
    givenUp: false,
    started: true,
    console,
    dataDir: directory,
    bootTimeoutMs: 30_000,
    ...changes,
  };
}

t.test('a guest that ended says why, with its console as the hint', async t => {
  t.strictSame(await whyNotMade(failing('no user-data')), {
    code: 'ERR_PROVIDER_CREATE',
    text: 'process-user-data exited with code 1; no user-data',
    hint:
      'its console ended with:\n2026-01-01T00:00:00.000Z process-user-data: no user-data\n' +
      '2026-01-01T00:00:00.000Z vm: powering off: process-user-data exited with code 1',
  });
});

t.test(
  'a guest whose disk or quota was used up is told by its own words, though there is room again',
  async t => {
    t.match(await whyNotMade(failing('because: ENOSPC: no space left on device, write')), {
      code: 'ERR_PROVIDER_DISK_FULL',
      text: /^there is no free space in \S+ \(.* free, -data-dir\), and process-user-data exited with code 1; because: ENOSPC/,
      hint: /^free some space there, .*; its console ended with:/,
    });
    t.match(await whyNotMade(failing('because: EDQUOT: disk quota exceeded, write')), {
      code: 'ERR_PROVIDER_DISK_FULL',
      text: /^there is no free space in \S+ \(the disk quota of user \d+ is used up, -data-dir\), and process-user-data/,
    });
    t.match(
      await whyNotMade(failing('because: ENOSPC', { started: false })),
      { code: 'ERR_PROVIDER_CREATE' },
      'the console of an earlier VM is not asked about a disk',
    );
  },
);

t.test('what the provider met itself goes before what the guest says', async t => {
  const cause = Object.assign(new Error('ENOSPC: no space left on device, mkdir'), { code: 'ENOSPC' });
  const { text } = await whyNotMade(failing('nothing', { cause, started: false }));
  t.match(text, /^there is no free space in \S+ \(.* free, -data-dir\)$/);
});

t.test('time that is over, and a caller that gave up', async t => {
  const late = { cause: new DOMException('', 'TimeoutError') };
  t.match(await whyNotMade(failing('slow', late)), {
    code: 'ERR_PROVIDER_CREATE',
    text: 'it did not boot within 30 s (-boot-timeout)',
  });
  t.match(await whyNotMade(failing('because: ENOSPC', { ...late, givenUp: true })), {
    code: 'ERR_PROVIDER_ABORTED',
    text: 'the request was given up',
  });
});
