// SPDX-License-Identifier: Apache-2.0
// What the machine tells about itself: network, memory blocks, volumes, and the agent's own figures. Read only.
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { grpc, types, uint64 } from '@peerpod-tls/agent-protocol';
import { VERSION } from '@peerpod-tls/daemon';
import { resolveGuestPath } from './guest-path.js';
import { systemError } from './guest-status.js';
import { read } from './process-scan.js';
import type { Sandbox } from './sandbox.js';

const MEMORY_BLOCK_SIZE = '/sys/devices/system/memory/block_size_bytes';
const MEMORY_PROBE = '/sys/devices/system/memory/probe';

export function listInterfaces(): grpc.Interfaces.$Properties {
  const Interfaces = Object.entries(networkInterfaces()).map(([name, addresses]) => ({
    device: name,
    name,
    IPAddresses: (addresses ?? []).map(({ family, address, cidr }) => ({
      family: family === 'IPv6' ? types.IPFamily.v6 : types.IPFamily.v4,
      address,
      mask: cidr?.split('/')[1] ?? '',
    })),
    mtu: uint64(Number(read(`/sys/class/net/${name}/mtu`).trim())),
    hwAddr: addresses?.[0]?.mac ?? '',
  }));
  return { Interfaces };
}

/** The IPv4 routes of /proc/net/route, where addresses are hexadecimal in the machine's byte order (proc(5)). */
export function listRoutes(text = read('/proc/net/route')): grpc.Routes.$Properties {
  const Routes = text
    .split('\n')
    .slice(1)
    .flatMap(line => {
      const [device, dest, gateway, , , , , mask] = line.trim().split(/\s+/);
      if (device === undefined || dest === undefined || gateway === undefined || mask === undefined)
        return [];
      const bits = Number.parseInt(mask, 16).toString(2).replaceAll('0', '').length;
      return [
        {
          device,
          dest: dest === '00000000' && bits === 0 ? '' : `${dotted(dest)}/${bits}`,
          gateway: gateway === '00000000' ? '' : dotted(gateway),
          family: types.IPFamily.v4,
        },
      ];
    });
  return { Routes };
}

function dotted(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  return bytes.toReversed().join('.');
}

export function guestDetails(request: grpc.GuestDetailsRequest): grpc.GuestDetailsResponse.$Properties {
  const blockSize = request.memBlockSize ? Number.parseInt(read(MEMORY_BLOCK_SIZE).trim() || '0', 16) : 0;
  return {
    memBlockSizeBytes: uint64(blockSize),
    supportMemHotplugProbe: request.memHotplugProbe && existsSync(MEMORY_PROBE),
    agentDetails: {
      version: VERSION,
      initDaemon: process.pid === 1,
      supportsSeccomp: false,
      extraFeatures: ['dev-agent-without-isolation'],
    },
  };
}

/** @throws StatusError NotFound, FailedPrecondition (a link on the way) */
export async function volumeStats(root: string, path: string): Promise<grpc.VolumeStatsResponse.$Properties> {
  const target = resolveGuestPath(root, path);
  try {
    const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(target);
    const { Unit } = grpc.VolumeUsage;
    return {
      usage: [
        {
          unit: Unit.BYTES,
          total: uint64(blocks * bsize),
          available: uint64(bavail * bsize),
          used: uint64((blocks - bfree) * bsize),
        },
        { unit: Unit.INODES, total: uint64(files), available: uint64(ffree), used: uint64(files - ffree) },
      ],
      volumeCondition: { abnormal: false, message: '' },
    };
  } catch (error) {
    throw systemError(`cannot read the volume ${path}`, error);
  }
}

/** The agent's own figures in Prometheus' text form. */
export function metrics(sandbox: Sandbox): grpc.Metrics.$Properties {
  const rows: readonly (readonly [string, string, string, number])[] = [
    ['kata_agent_dev_containers', 'gauge', 'Containers known to the agent.', sandbox.containers.length],
    [
      'kata_agent_dev_processes',
      'gauge',
      'Living processes of all containers.',
      sandbox.containers.reduce((sum, container) => sum + container.living().length, 0),
    ],
    ['kata_agent_dev_resident_bytes', 'gauge', 'Resident memory of the agent.', process.memoryUsage.rss()],
    ['kata_agent_dev_uptime_seconds', 'counter', 'Time since the agent started.', process.uptime()],
  ];
  const text = rows.map(
    ([name, type, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`,
  );
  return { metrics: text.join('') };
}
