// SPDX-License-Identifier: Apache-2.0
// Initdata on its way into a letter: base64 of gzipped TOML. What the TOML says is for the guest to judge.
import { gunzipSync, gzipSync } from 'node:zlib';
import { UsageError } from '@peerpod-tls/daemon';

/** Largest TOML text accepted, in bytes. Clouds take far less; this keeps a bomb from being unpacked. */
const MAX_INITDATA_BYTES = 4 * 1024 * 1024;

/** Checks the value of `-initdata`: it must unpack to text. Throws a `UsageError`; gives the base64 without white space. */
export function readGlobalInitdata(value: string): string {
  const compact = value.replaceAll(/\s+/g, '');
  if (compact === '') return '';
  const hint = 'make it with: gzip -c initdata.toml | base64 -w0';
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(compact))
    throw new UsageError('-initdata (INITDATA) is not base64', hint);
  let toml: Buffer;
  try {
    toml = gunzipSync(Buffer.from(compact, 'base64'), { maxOutputLength: MAX_INITDATA_BYTES });
  } catch {
    throw new UsageError(
      `-initdata (INITDATA) does not unpack with gzip to at most ${MAX_INITDATA_BYTES} bytes`,
      hint,
    );
  }
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(toml);
  } catch {
    throw new UsageError('-initdata (INITDATA) unpacks to something that is no text', hint);
  }
  return compact;
}

/** Packs the text a shim handed over the way the guest expects it in its file. */
export function packInitdata(toml: string): string {
  return gzipSync(Buffer.from(toml, 'utf8')).toString('base64');
}
