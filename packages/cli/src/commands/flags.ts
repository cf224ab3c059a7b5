// SPDX-License-Identifier: Apache-2.0
// The flags that several commands share. A table.
import type { Flags } from '../command.js';

/** Where cloud-api-adaptor takes the shim's calls; the same variable and default as the adaptor's own flag. */
export const socketFlag = {
  socket: {
    type: 'string',
    env: 'REMOTE_HYPERVISOR_ENDPOINT',
    default: '/run/peerpod/hypervisor.sock',
    describe: "the adaptor's hypervisor socket",
  },
} as const satisfies Flags;

/** Where cloud-api-adaptor serves its status, unless told otherwise. */
export const addressFlag = {
  address: {
    type: 'string',
    env: 'PEERPOD_STATUS_ADDRESS',
    default: '127.0.0.1:8000',
    describe: 'HOST:PORT of the status endpoint of the adaptor',
  },
} as const satisfies Flags;

export const quietFlag = {
  quiet: { type: 'boolean', default: false, describe: 'print ids only' },
} as const satisfies Flags;
