// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { networkStats } from '../src/container-stats.js';
import { CpuMeter } from '../src/cpu-meter.js';
import { listRoutes } from '../src/guest-info.js';
import type { ProcessFacts } from '../src/process-scan.js';

function facts(pid: number, userTicks: number, systemTicks: number): ProcessFacts {
  return {
    pid,
    parent: 1,
    session: pid,
    over: false,
    stopped: false,
    started: 0,
    threads: 1,
    userTicks,
    systemTicks,
  };
}

t.test('processor time is in nanoseconds and never falls', async t => {
  const meter = new CpuMeter();
  t.strictSame(meter.measure([facts(1, 1, 0), facts(2, 2, 100)]), {
    user: 30_000_000,
    system: 1_000_000_000,
  });
  t.strictSame(meter.measure([facts(1, 1, 5)]), { user: 30_000_000, system: 1_000_000_000 });
  t.strictSame(meter.measure([facts(1, 4, 5)]), { user: 40_000_000, system: 1_000_000_000 });
});

t.test('the counters of an interface are read from its line', async t => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
  eth0:18446744 2 0 0 0 0 0 0 4294967296 7 0 0 0 0 0 0
`;
  const rows = networkStats(text).map(row =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [name, typeof value === 'string' ? value : Number(value)]),
    ),
  );
  const names = [
    'rxBytes',
    'rxPackets',
    'rxErrors',
    'rxDropped',
    'txBytes',
    'txPackets',
    'txErrors',
    'txDropped',
  ];
  const row = (name: string, values: readonly number[]) => ({
    name,
    ...Object.fromEntries(names.map((key, at) => [key, values[at]])),
  });
  t.strictSame(rows, [
    row('lo', [1, 2, 3, 4, 9, 10, 11, 12]),
    row('eth0', [18_446_744, 2, 0, 0, 4_294_967_296, 7, 0, 0]),
  ]);
});

t.test('routes are read from hexadecimal, the default one without destination', async t => {
  const text = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
`;
  t.strictSame(listRoutes(text).Routes, [
    { device: 'eth0', dest: '', gateway: '172.17.0.1', family: 0 },
    { device: 'eth0', dest: '172.17.0.0/16', gateway: '', family: 0 },
  ]);
  t.strictSame(listRoutes('').Routes, []);
});
