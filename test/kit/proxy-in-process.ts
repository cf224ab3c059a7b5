// SPDX-License-Identifier: Apache-2.0
// A proxy inside the test's process, for adaptors that are there too: its sockets, links and files are real. It outlives
// the adaptors of a test as the program outlives theirs.
import { join } from 'node:path';
import { createLogger } from '@peerpod-tls/daemon';
import { ProxyServer } from '@peerpod-tls/proxy/server';
import type { Teardown } from './program.js';

export interface ProxyInProcessOptions {
  /** The hypervisor socket. */
  readonly socket: string;
  /** Takes the lines of its log from now on; of another adaptor, from that one on. */
  readonly write: (line: string) => void;
  readonly threads?: number;
}

interface Running {
  readonly control: string;
  write: (line: string) => void;
}

const running = new Map<string, Running>();

/** The control socket of the one proxy of a directory, which is started for the first who asks and ends with its test. */
export async function proxyIn(t: Teardown, directory: string, o: ProxyInProcessOptions): Promise<string> {
  const known = running.get(directory);
  if (known !== undefined) {
    known.write = o.write;
    return known.control;
  }
  const place = join(directory, 'proxy');
  const here: Running = { control: join(place, 'control.sock'), write: o.write };
  running.set(directory, here);
  const server = new ProxyServer({
    directory: place,
    socket: o.socket,
    generation: 'test',
    threads: o.threads ?? 1,
    // Shims of a test that is over call no StopVM.
    drainMs: 1,
    onEnd: () => {},
    log: createLogger({
      name: 'proxy',
      level: 'debug',
      destination: { write: (line: string) => here.write(line) },
    }),
  });
  t.teardown(async () => {
    running.delete(directory);
    await server.close();
  });
  await server.start();
  return here.control;
}
