// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import * as ttrpc from '../src/index.js';

t.test('the public names are these, so that widening them is a visible act', async t => {
  t.strictSame(Object.keys(ttrpc).toSorted(), [
    'FrameDecoder',
    'FrameFlag',
    'FrameType',
    'HEADER_LENGTH',
    'MAX_MESSAGE_LENGTH',
    'MAX_NAME_LENGTH',
    'StatusCode',
    'StatusError',
    'TLS_HEAD_LENGTH',
    'TtrpcClient',
    'TtrpcError',
    'TtrpcServer',
    'bidi',
    'clientOf',
    'clientStream',
    'connectUnix',
    'decodeRequest',
    'decodeResponse',
    'defineService',
    'encodeFrame',
    'encodeRequest',
    'encodeResponse',
    'implement',
    'looksLikeTls',
    'peekRequestTarget',
    'peekResponseCode',
    'readHeader',
    'readRequestPayload',
    'replaceRequestPayload',
    'serverStream',
    'statusEnvelope',
    'unary',
    'writeHeader',
  ]);
});

t.test('a relay can be loaded without a protobuf runtime', async t => {
  const url = new URL('../src/relay.ts', import.meta.url).href;
  const script = `
    import { createRequire } from 'node:module';
    await import(${JSON.stringify(url)});
    const loaded = Object.keys(createRequire(import.meta.url).cache).filter(file => /protobufjs|[/]long[/]/.test(file));
    process.stdout.write(JSON.stringify(loaded));`;
  const loader = new URL('../../../scripts/typescript/register.mjs', import.meta.url).href;
  const args = ['--import', loader, '--input-type=module', '-e', script];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  t.equal(stdout, '[]');
});
