// SPDX-License-Identifier: Apache-2.0
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
