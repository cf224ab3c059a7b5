// SPDX-License-Identifier: Apache-2.0
// Whether this machine can run guests on KVM, found out by running one: nine bytes that end qemu with a known code.
// A device node that is there and may be opened proves nothing inside a virtual machine.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';

import { ProviderError } from '../errors.js';
import type { Acceleration } from './command.js';

const DEADLINE_MS = 15_000;
/** What isa-debug-exit makes of the 0x10 the guest writes: twice that and one. */
const EXPECTED = 33;

/** KVM or emulation, as the flag asks and the machine can; found out once, for whoever asks first. */
export class Accelerator {
  readonly #asked: 'auto' | 'kvm' | 'tcg';
  readonly #program: string;
  readonly #log: Logger;
  readonly #closed = new AbortController();
  #found: Promise<Acceleration> | null = null;

  constructor(asked: 'auto' | 'kvm' | 'tcg', program: string, log: Logger) {
    this.#asked = asked;
    this.#program = program;
    this.#log = log;
  }

  /**
   * Whoever gives up leaves the others waiting for the same answer.
   * @throws ProviderError ERR_PROVIDER_CONFIG when KVM is asked for and no guest runs on it; the signal's reason
   */
  choose(signal: AbortSignal): Promise<Acceleration> {
    this.#found ??= this.#find().catch((error: unknown) => {
      this.#found = null;
      throw error;
    });
    const { promise, reject } = withReject(this.#found);
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    return promise.finally(() => signal.removeEventListener('abort', onAbort));
  }

  close(): void {
    this.#closed.abort(new ProviderError('ERR_PROVIDER_ABORTED', 'the provider was closed'));
  }

  async #find(): Promise<Acceleration> {
    if (this.#asked === 'tcg') return 'tcg';
    const reason = await kvmTrouble(this.#program, this.#closed.signal);
    if (reason === null) return 'kvm';
    if (this.#asked === 'kvm') {
      throw new ProviderError('ERR_PROVIDER_CONFIG', `KVM cannot be used here: ${reason}`, {
        hint: 'give -qemu-accel tcg for emulation, which is slow',
      });
    }
    this.#log.warn({ reason }, 'KVM not usable, virtual machines are emulated');
    return 'tcg';
  }
}

/** A promise that settles as another does, unless it is rejected before. */
function withReject<T>(other: Promise<T>): { promise: Promise<T>; reject: (reason: unknown) => void } {
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<T>((resolve, refuse) => {
    reject = refuse;
    other.then(resolve, refuse);
  });
  return { promise, reject };
}

/** Null when guests run on KVM here, else why they do not. */
export async function kvmTrouble(program: string, signal: AbortSignal): Promise<string | null> {
  const directory = await mkdtemp(join(tmpdir(), 'peerpod-kvm-'));
  try {
    const disk = join(directory, 'boot.img');
    const sector = Buffer.alloc(512);
    // mov dx, 0xf4; mov al, 0x10; out dx, al; hlt; jmp to the hlt
    Buffer.from([0xba, 0xf4, 0x00, 0xb0, 0x10, 0xee, 0xf4, 0xeb, 0xfd]).copy(sector);
    sector.writeUInt16BE(0x55aa, 510);
    await writeFile(disk, sector);
    return await run(
      program,
      [
        ['-machine', 'pc', '-accel', 'kvm', '-cpu', 'host', '-m', '16', '-nodefaults', '-no-user-config'],
        ['-display', 'none', '-device', 'isa-debug-exit,iobase=0xf4,iosize=1'],
        ['-drive', `file=${disk},if=ide,format=raw,snapshot=on`],
      ].flat(),
      signal,
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function run(program: string, args: readonly string[], signal: AbortSignal): Promise<string | null> {
  return new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      { timeout: DEADLINE_MS, killSignal: 'SIGKILL', signal },
      (error, _stdout, stderr) => {
        if (signal.aborted) reject(signal.reason);
        else if (error?.code === EXPECTED) resolve(null);
        else if (error?.killed === true) resolve(`a guest on KVM did not run within ${DEADLINE_MS / 1000} s`);
        else
          resolve(
            stderr.trim().split('\n').at(-1) || error?.message || 'qemu ended without running the guest',
          );
      },
    );
  });
}
