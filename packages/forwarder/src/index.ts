// SPDX-License-Identifier: Apache-2.0
// The public names of the package: the forwarder as an object, for programs and tests that embed it.
export { ForwarderError, type ForwarderErrorCode } from './errors.js';
export { startForwarder, type Forwarder, type ForwarderContext } from './forwarder.js';
export { readOptions, type ForwarderOptions, type Invocation, type ListenAddress } from './options.js';
