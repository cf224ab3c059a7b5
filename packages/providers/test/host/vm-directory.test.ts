// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

import { checkDataDir, ownerName } from '../../src/host/data-dir.js';
import {
  checkVmDataDir,
  idOfToken,
  instancesIn,
  isId,
  makeVmDirectory,
  pathsOf,
  readRecord,
  writeRecord,
} from '../../src/host/vm-directory.js';
import type { VmRecord } from '../../src/host/vm-directory.js';
import { defaultDataDir } from '../../src/local/flags.js';

t.test('the default is /run for root and a place of their own for others', async t => {
  t.equal(defaultDataDir({ XDG_RUNTIME_DIR: '/run/user/0' }, 0), '/run/peerpod-local');
  t.equal(defaultDataDir({ XDG_RUNTIME_DIR: '/run/user/7' }, 7), '/run/user/7/peerpod-local');
  t.equal(defaultDataDir({}, 7), join(tmpdir(), 'peerpod-7'));
  t.equal(defaultDataDir({ XDG_RUNTIME_DIR: 'relative' }, 7), join(tmpdir(), 'peerpod-7'));
});

t.test('a data directory under the pods directory is refused, by a link too', async t => {
  const base = t.testdir({ pods: {} });
  const pods = join(base, 'pods');
  symlinkSync(pods, join(base, 'alias'));
  for (const bad of [pods, join(pods, 'vms'), join(base, 'alias/vms'), join(pods, 'x/../y')]) {
    t.throws(
      () => checkDataDir(bad, pods),
      { code: 'ERR_PROVIDER_CONFIG', message: /-data-dir/, hint: /private keys/ },
      bad,
    );
  }
  t.equal(checkDataDir(join(tmpdir(), 'd'), pods), join(tmpdir(), 'd'));
  t.throws(() => checkDataDir('vms', pods), { code: 'ERR_PROVIDER_CONFIG', message: /not an absolute path/ });
  t.throws(() => checkVmDataDir(`/${'d'.repeat(80)}`, pods), { message: /bytes too long/, hint: /shorter/ });
});

t.test('ids are made of tokens and nothing else passes for one', async t => {
  t.equal(idOfToken('sandbox.1'), idOfToken('sandbox.1'));
  t.not(idOfToken('sandbox.1'), idOfToken('sandbox.2'));
  t.ok(isId(idOfToken('x')));
  for (const bad of [
    '',
    '..',
    '../../..',
    'ABCDEFABCDEF',
    `${idOfToken('x')}/`,
    `${idOfToken('x')}\n`,
    'addresses',
  ]) {
    t.notOk(isId(bad), JSON.stringify(bad));
  }
  t.not(ownerName('/run/a'), ownerName('/run/b'), 'two adaptors keep apart');
});

t.test('a record is found again, and one that is broken or of another VM is none', async t => {
  const home = t.testdir();
  const id = idOfToken('s.1');
  const paths = pathsOf(home, id);
  await makeVmDirectory(paths);
  t.equal(statSync(paths.directory).mode & 0o777, 0o700);
  t.equal(await readRecord(paths), null, 'half made');
  const byIdAlone = [{ id, name: id, addresses: [] }];
  t.same(await instancesIn(home), byIdAlone, 'but not forgotten');
  const record: VmRecord = {
    version: 1,
    id,
    name: 'podvm-x',
    token: 's.1',
    sandbox: 's',
    address: '127.64.0.1',
    created: '2026-01-01T00:00:00.000Z',
    leader: { pid: 7, start: '99' },
  };
  await writeRecord(paths, record);
  t.same(await readRecord(paths), record);
  t.equal(statSync(paths.record).mode & 0o777, 0o600);
  // As version 0.1.0 writes it, with a field of a version to come.
  const first =
    `{"version":1,"id":"${id}","name":"podvm-x","token":"s.1","sandbox":"s","address":"127.64.0.1",` +
    '"created":"2026-01-01T00:00:00.000Z","leader":{"pid":7,"start":"99"},"zone":"a"}';
  writeFileSync(paths.record, first);
  const read = await readRecord(paths);
  t.same(read, { ...record, zone: 'a' });
  if (read !== null) await writeRecord(paths, { ...read, leader: null });
  t.match(readFileSync(paths.record, 'utf8'), '"zone":"a"', 'what is not known is kept');
  for (const broken of [
    '',
    '{',
    'null',
    '[]',
    JSON.stringify({ ...record, version: 2 }),
    JSON.stringify({ ...record, id: 'x' }),
    JSON.stringify({ ...record, leader: { pid: '7' } }),
    JSON.stringify({ ...record, leader: { pid: 1, start: '99' } }),
  ]) {
    writeFileSync(paths.record, broken);
    t.equal(await readRecord(paths), null, broken);
  }
  mkdirSync(join(home, 'addresses'));
  t.same(await instancesIn(home), byIdAlone);
  t.same(await instancesIn(join(home, 'nowhere')), []);
});
