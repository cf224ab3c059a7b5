// SPDX-License-Identifier: Apache-2.0
// Both ends of sessions over real TLS, with a network between them that can be cut.
import type { Test } from 'tap';
import type { LentReads } from '../../src/relay/types.js';
import { beginSession, type SessionDialOptions } from '../../src/session/session-dialler.js';
import { SessionTable, type SessionTableOptions } from '../../src/session/session-table.js';
import type { VerifiedPeer } from '../../src/tls/verify-peer.js';
import { Cutter } from './cutter.js';
import { dial, listen, makeWorld, material, profile, silentLog, type World } from './tls.js';

/** What is read from and written to one end of a session. */
export class End {
  readonly end: LentReads;
  #chunks: Buffer[] = [];
  #length = 0;
  error: Error | null = null;
  ended = false;
  closed = false;
  #waiting: (() => void)[] = [];

  constructor(end: LentReads) {
    this.end = end;
    const { stream } = end;
    stream.on('error', error => (this.error = error));
    stream.on('end', () => {
      this.ended = true;
      this.#wake();
    });
    stream.on('close', () => {
      this.closed = true;
      this.#wake();
    });
    end.readLent((bytes, length) => {
      this.#chunks.push(Buffer.from(bytes.subarray(0, length)));
      this.#length += length;
      this.#wake();
    });
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): Buffer {
    const bytes = Buffer.concat(this.#chunks);
    this.#chunks = [bytes];
    return bytes;
  }

  write(bytes: Uint8Array): void {
    this.end.stream.write(bytes, () => {});
  }

  async read(count: number): Promise<Buffer> {
    await this.until(() => this.#length >= count || this.closed);
    return this.bytes;
  }

  async until(met: () => boolean): Promise<void> {
    while (!met()) await new Promise<void>(resolve => void this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

export interface Sessions {
  readonly world: World;
  readonly cutter: Cutter;
  readonly table: SessionTable;
  readonly port: number;
  /** What the table was told to count. */
  readonly told: string[];
  /** The listening ends, as they came. */
  readonly accepted: End[];
  dial(o?: Parameters<typeof dial>[2], past?: 'cutter'): Promise<VerifiedPeer>;
  begin(o?: Partial<SessionDialOptions>): Promise<End>;
  /** The listening end number `count`, from 1. */
  nth(count: number): Promise<End>;
}

export interface SessionsOptions extends Partial<SessionTableOptions> {
  /** Whether the listening end agrees to sessions at all. Default true. */
  readonly session?: boolean;
  /** A second client that is trusted, PEM. */
  readonly alsoTrusted?: string;
  /** Gets the links that are none. */
  readonly onPlain?: (peer: VerifiedPeer) => void;
}

export async function sessions(t: Test, o: SessionsOptions = {}): Promise<Sessions> {
  const world = await makeWorld();
  const accepted: End[] = [];
  const told: string[] = [];
  let waiting: (() => void)[] = [];
  const table = new SessionTable({
    graceMs: 10_000,
    onSession: end => {
      accepted.push(new End(end));
      for (const resolve of waiting.splice(0)) resolve();
    },
    onAway: () => void told.push('away'),
    onResumed: () => void told.push('resumed'),
    onRefused: reason => void told.push(`refused ${reason}`),
    onLost: () => void told.push('lost'),
    log: silentLog,
    ...o,
  });
  const server =
    o.alsoTrusted === undefined
      ? world.server
      : material('server', world.serverLeaf, world.clientLeaf.certPem + o.alsoTrusted);
  const listener = await listen(world, {
    session: o.session ?? true,
    security: { t: 'tls', material: () => server, profile },
    onPeer: peer => {
      if (peer.peer.tls?.session === true) table.accept(peer);
      else if (o.onPlain === undefined) peer.close();
      else o.onPlain(peer);
    },
  });
  t.teardown(async () => {
    table.close();
    await listener.close();
  });
  const { port } = listener.address();
  const cutter = await Cutter.open(t, port);
  const dialled = (options: Parameters<typeof dial>[2] = {}, past?: 'cutter'): Promise<VerifiedPeer> =>
    dial(world, past === undefined ? cutter.port : port, { session: true, ...options });
  return {
    world,
    cutter,
    table,
    port,
    told,
    accepted,
    dial: dialled,
    begin: async options => {
      const end = beginSession({
        peer: options?.peer ?? (await dialled()),
        redial: signal => dialled({ signal }),
        log: silentLog,
        ...options,
      });
      t.teardown(() => void end.stream.destroy());
      return new End(end);
    },
    nth: async count => {
      for (;;) {
        const end = accepted[count - 1];
        if (end !== undefined) return end;
        await new Promise<void>(resolve => void waiting.push(resolve));
      }
    },
  };
}
