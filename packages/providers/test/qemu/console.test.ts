// SPDX-License-Identifier: Apache-2.0
// The console log of a virtual machine without the machine: what is written into its line ends up in two files of a
// bounded size, whoever is there to look after them.
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import t from 'tap';
import { consoleOf, keepConsole } from '../../src/qemu/console.js';
import { processesOf } from '../../src/host/vm-processes.js';
import { eventually } from '../../../../test/kit/log.js';

const LIMIT = 10_000;

const filesIn = (directory: string) => ({
  directory,
  console: join(directory, 'console.log'),
  log: join(directory, 'qemu.log'),
});

async function end(line: Writable, directory: string): Promise<boolean> {
  line.end();
  await finished(line, { readable: false });
  line.destroy();
  return eventually(() => processesOf(directory).length === 0);
}

t.test('a word is in the file before the line ends, and the file is the owner’s alone', async t => {
  const files = filesIn(t.testdir({}));
  const line = keepConsole(files, LIMIT);
  line.write('no line end');
  t.ok(await eventually(() => readOf(files.console) === 'no line end'));
  t.equal(statSync(files.console).mode & 0o777, 0o600);
  t.equal(await consoleOf(files, false), 'no line end');
  t.ok(await end(line, files.directory), 'the keeper ends with the line');
});

t.test('a guest that never stops talking fills two files and no more, and its last words stay', async t => {
  const files = filesIn(t.testdir({}));
  const line = keepConsole(files, LIMIT);
  const all = Array.from({ length: 9_000 }, (_, i) => `line ${i}\r\n`).join('');
  line.write(all);
  line.write('the last words\r\n');
  t.ok(await end(line, files.directory));
  t.same(readdirSync(files.directory).sort(), ['console.log', 'console.log.1']);
  const now = readFileSync(files.console, 'utf8');
  const before = readFileSync(`${files.console}.1`, 'utf8');
  t.equal(before.length, LIMIT);
  t.ok(now.length <= LIMIT);
  t.ok(`${all}the last words\r\n`.endsWith(before + now), 'nothing is missing at the seam');
});

t.test('the last lines reach back over the seam, with qemu’s own words in front', async t => {
  const files = filesIn(
    t.testdir({
      'console.log': 'third\r\n',
      'console.log.1': 'first\r\nsecond\r\n',
      'qemu.log': 'qemu: oh\n',
    }),
  );
  t.equal(await consoleOf(files, true), 'qemu: oh\nfirst\nsecond\nthird');
});

t.test('what a machine said last is waited for when it has ended', async t => {
  const files = filesIn(t.testdir({}));
  const line = keepConsole(files, LIMIT);
  line.write('reason\n');
  const said = consoleOf(files, true);
  t.ok(await end(line, files.directory));
  t.equal(await said, 'reason');
});

function readOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
