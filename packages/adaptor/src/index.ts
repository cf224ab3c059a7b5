// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/adaptor.
export { Adaptor, type AdaptorParts } from './adaptor.js';
export { parseOptions } from './options.js';
