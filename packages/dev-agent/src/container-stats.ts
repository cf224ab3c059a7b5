// SPDX-License-Identifier: Apache-2.0
// What a container uses, read from /proc: no cgroup keeps count here. Changes nothing.
import { uint64, type grpc } from '@peerpod-tls/agent-protocol';
import type { Container } from './container.js';
import { read } from './process-scan.js';

/** Bytes, from the kB lines of /proc/PID/status. */
interface Memory {
  resident: number;
  peak: number;
  swapped: number;
  files: number;
}

export function statsOf(container: Container): grpc.StatsContainerResponse.$Properties {
  const living = container.living();
  const cpu = container.cpu.measure(living);
  const memory: Memory = { resident: 0, peak: 0, swapped: 0, files: 0 };
  for (const { pid } of living) addMemory(memory, read(`/proc/${pid}/status`));
  const limit = Number(read('/proc/sys/kernel/pid_max').trim());
  return {
    cgroupStats: {
      cpuStats: {
        cpuUsage: {
          totalUsage: uint64(cpu.user + cpu.system),
          usageInUsermode: uint64(cpu.user),
          usageInKernelmode: uint64(cpu.system),
        },
      },
      memoryStats: {
        cache: uint64(memory.files),
        usage: { usage: uint64(memory.resident), maxUsage: uint64(memory.peak) },
        swapUsage: { usage: uint64(memory.swapped) },
      },
      pidsStats: {
        current: uint64(living.reduce((sum, facts) => sum + facts.threads, 0)),
        limit: uint64(limit),
      },
    },
    networkStats: networkStats(read('/proc/net/dev')),
  };
}

function addMemory(sum: Memory, status: string): void {
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024;
  sum.resident += bytes('VmRSS');
  sum.peak += bytes('VmHWM');
  sum.swapped += bytes('VmSwap');
  sum.files += bytes('RssFile');
}

/** The lines of /proc/net/dev (proc(5)): eight counters of what came in, eight of what went out. */
export function networkStats(text: string): grpc.NetworkStats.$Properties[] {
  return text.split('\n').flatMap(line => {
    const [name, counters] = line.split(':');
    if (name === undefined || counters === undefined) return [];
    const numbers = counters.trim().split(/\s+/).map(Number);
    const at = (index: number): ReturnType<typeof uint64> => uint64(numbers[index] ?? 0);
    return [
      {
        name: name.trim(),
        rxBytes: at(0),
        rxPackets: at(1),
        rxErrors: at(2),
        rxDropped: at(3),
        txBytes: at(8),
        txPackets: at(9),
        txErrors: at(10),
        txDropped: at(11),
      },
    ];
  });
}
