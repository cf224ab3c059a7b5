// SPDX-License-Identifier: Apache-2.0
// The flags shared by the commands that stand in for a shim. A table.

/** Where cloud-api-adaptor takes the shim's calls; the same variable and default as the adaptor's own flag. */
export const socketFlag = {
  socket: {
    type: 'string',
    env: 'REMOTE_HYPERVISOR_ENDPOINT',
    default: '/run/peerpod/hypervisor.sock',
    placeholder: 'PATH',
    describe: "the adaptor's hypervisor socket",
  },
} as const;
