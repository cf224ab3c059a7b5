// SPDX-License-Identifier: Apache-2.0
// The service for people on the hypervisor socket. That socket is 0600 in a 0700 directory, so whoever reaches it may
// stop sandboxes too; the status server, which anybody may reach, changes nothing.
import { operatorService } from '@peerpod-tls/agent-protocol';
import { implement, type Implementation } from '@peerpod-tls/ttrpc';
import { abortable } from '@peerpod-tls/base';
import type { Leases } from '../sandboxes/leases.js';
import type { Orphans } from '../sandboxes/orphans.js';
import { statusOf } from './status-of.js';

export function operatorServices(orphans: Orphans, leases: Leases): readonly Implementation[] {
  return [
    implement(operatorService, {
      ListOrphans: async (_request, { signal }) => {
        try {
          const report = await orphans.search(signal);
          return {
            provider: report.provider,
            orphans: report.orphans.map(({ id, name, addresses, token = '' }) => ({
              id,
              name,
              addresses: [...addresses],
              token,
            })),
          };
        } catch (error) {
          throw statusOf(error);
        }
      },
      DeleteOrphan: async (request, { signal }) => {
        try {
          await abortable(orphans.delete(request.id), signal);
          return {};
        } catch (error) {
          throw statusOf(error);
        }
      },
      // No async before the lease stands: the caller's next call on this connection is its CreateVM.
      Hold: (request, { signal }) => leases.hold(request.id, signal).then(() => ({})),
      Release: request => {
        leases.release(request.id);
        return {};
      },
    }),
  ];
}
