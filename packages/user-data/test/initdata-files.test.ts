// SPDX-License-Identifier: Apache-2.0
// Which files initdata becomes. Writing them is tested in provision.test.ts.
import t from 'tap';
import { GUEST_PATHS } from '../src/guest-paths.js';
import { initdataFiles } from '../src/initdata-files.js';
import { EMPTY_INITDATA, renderInitdata } from '../src/initdata.js';

const of = (data: string): ReturnType<typeof initdataFiles> =>
  initdataFiles(renderInitdata(`algorithm = "sha256"\nversion = "0.1.0"\n[data]\n${data}`));
const paths = (found: ReturnType<typeof initdataFiles>): string[] =>
  found.files.map(file => file.path).toSorted();

t.test('none is the empty one, which a guest measures too', async t => {
  const found = initdataFiles(null);
  t.match(found, { standIn: true, withoutAa: false, unknownEntries: [] });
  t.strictSame(paths(found), [GUEST_PATHS.aa, GUEST_PATHS.initdata, GUEST_PATHS.digest]);
  t.strictSame(initdataFiles(renderInitdata(EMPTY_INITDATA)).standIn, true, 'also when it is read back');
});

t.test('an entry may become three files and no other, by whatever way its name leads there', async t => {
  const found = of(
    [
      '"./aa.toml" = ""',
      '"x/../cdh.toml" = ""',
      '"policy.rego" = ""',
      '"apf.json" = ""',
      '"auth.json" = ""',
      '"initdata" = ""',
      '"initdata.digest" = ""',
      '"../peerpod/../../etc/shadow" = ""',
      '"/run/peerpod/aa.toml" = ""',
      '"aa.toml/" = ""',
      '"aa.toml\\u0000" = ""',
      '"" = ""',
    ].join('\n'),
  );
  t.strictSame(
    paths(found),
    [
      GUEST_PATHS.aa,
      GUEST_PATHS.cdh,
      GUEST_PATHS.initdata,
      GUEST_PATHS.digest,
      GUEST_PATHS.policy,
    ].toSorted(),
  );
  t.equal(found.unknownEntries.length, 9);
  t.match(found, { withoutAa: false, standIn: false });
});

t.test('two entries for one file are refused', async t => {
  t.throws(() => of('"aa.toml" = "a"\n"./aa.toml" = "b"\n'), {
    code: 'ERR_USER_DATA_PATH',
    message: 'the initdata has two entries for /run/peerpod/aa.toml',
  });
});

t.test('without aa.toml there is an empty one, and the digest is that of what was brought', async t => {
  const found = of('"cdh.toml" = "x"');
  t.equal(found.withoutAa, true);
  t.strictSame(
    found.files.find(file => file.path === GUEST_PATHS.aa),
    { path: GUEST_PATHS.aa, content: '' },
  );
  t.equal(found.files.find(file => file.path === GUEST_PATHS.digest)?.content, found.initdata.digest);
});
