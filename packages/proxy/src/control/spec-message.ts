// SPDX-License-Identifier: Apache-2.0
// ProxySpec as a message and back. What comes in is checked for being a spec, not for being a good one.
import { peerpod } from '@peerpod-tls/agent-protocol/proxy';
import type { ProxySpec } from '../spec.js';
import { badMessage } from './api.js';

type SpecFields = peerpod.proxy.v1.ProxySpec.$Properties;

const MAX_UINT32 = 0xffff_ffff;

export function specMessage(spec: ProxySpec): peerpod.proxy.v1.ProxySpec {
  const { sandbox, pod, socket, addresses, port, tls, rewrites, limits } = spec;
  return new peerpod.proxy.v1.ProxySpec({
    sandbox,
    pod,
    socket,
    addresses: [...addresses],
    port,
    material: tls.material,
    serverName: tls.serverName,
    directVolumes: rewrites.directVolumes,
    redialBudgetMs: Math.min(Math.max(0, Math.round(limits.redialBudgetMs)), MAX_UINT32),
  });
}

/** @throws ControlError `ERR_PROXY_MESSAGE` when it names no sandbox, no socket or no address */
export function specOf(message: SpecFields | null | undefined): ProxySpec {
  const sandbox = message?.sandbox ?? '';
  const socket = message?.socket ?? '';
  const addresses = message?.addresses ?? [];
  const port = message?.port ?? 0;
  if (!isSandboxId(sandbox)) throw badMessage(`names the sandbox ${JSON.stringify(sandbox.slice(0, 128))}`);
  if (!socket.startsWith('/') || socket.includes('\0'))
    throw badMessage(`names ${JSON.stringify(socket.slice(0, 256))} as the socket of sandbox ${sandbox}`);
  if (addresses.length === 0 || addresses.includes(''))
    throw badMessage(`names no address for sandbox ${sandbox}`);
  if (port < 1 || port > 65_535) throw badMessage(`names port ${port} for sandbox ${sandbox}`);
  return {
    sandbox,
    pod: message?.pod ?? '',
    socket,
    addresses: [...addresses],
    port,
    tls: { material: message?.material ?? '', serverName: message?.serverName ?? '' },
    rewrites: { directVolumes: message?.directVolumes ?? '' },
    limits: { redialBudgetMs: message?.redialBudgetMs ?? 0 },
  };
}

/** Whether an id can be the name of a file: letters, digits, `_`, `.` and `-`, the first a letter or a digit. */
export function isSandboxId(id: string): boolean {
  return id.length <= 128 && /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(id);
}
