// SPDX-License-Identifier: Apache-2.0
// The size of user-data is that of its text, and each file's share of it is known.
import { array, assert, property, string } from 'fast-check';
import t from 'tap';
import { renderCloudConfig } from '../src/cloud-config.js';
import { measureUserData, sizesInWords } from '../src/user-data-size.js';

t.test('the measure is the length of the text, whatever is in the files', async t => {
  assert(
    property(array(string({ unit: 'grapheme' }), { maxLength: 4 }), contents => {
      const files = contents.map((content, i) => ({ path: `/f${i}`, content }));
      return measureUserData(files).bytes === Buffer.byteLength(renderCloudConfig(files));
    }),
  );
  t.strictSame(measureUserData([]), { bytes: 14, files: [] });
});

t.test('the largest file goes first, and one that could not be rendered is measured too', async t => {
  const size = measureUserData([
    { path: '/small', content: 'x' },
    { path: '/large', content: 'x'.repeat(2_000_000) },
  ]);
  // Each has a line `  - path: `, a line `    content: |`, and its text behind six spaces.
  t.strictSame(size.files, [
    { path: '/large', bytes: 17 + 15 + 2_000_007 },
    { path: '/small', bytes: 17 + 15 + 8 },
  ]);
  t.equal(sizesInWords(size), '/large 2000039 bytes, /small 40 bytes');
});
