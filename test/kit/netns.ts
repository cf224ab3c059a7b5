// SPDX-License-Identifier: Apache-2.0
// The network between worker and pod VM with the kernel's own means: three network namespaces in a row, the one in the
// middle a router that can forget its trade. Unlike a cable that is cut, it resets nothing: packets are swallowed.
// Nothing of it is seen outside these namespaces.
import { execFileSync } from 'node:child_process';
import { isRoot } from './directory.js';
import type { Teardown } from './program.js';

const V4 = { worker: '10.0.1.2', vm: '10.0.2.2' } as const;
const V6 = { worker: 'fd00:1::2', vm: 'fd00:2::2' } as const;
type Host = keyof typeof V4;

/** Namespaces of this process, which go with it even if no teardown runs. */
const standing = new Set<string>();
process.once('exit', () => {
  for (const name of standing) remove(name);
});

/** Why there is no such network here; false where it can be had. */
export const noNetwork: string | false = reason();

let laid = 0;

export class Wire {
  readonly v4 = V4;
  readonly v6 = V6;
  readonly #names: Readonly<Record<Host | 'router', string>>;

  private constructor() {
    const prefix = `peerpod-${process.pid}-${(laid += 1)}`;
    this.#names = { worker: `${prefix}-w`, router: `${prefix}-r`, vm: `${prefix}-v` };
  }

  /** Lays a network that forwards. */
  static lay(t: Teardown): Wire {
    const wire = new Wire();
    t.teardown(() => wire.#remove());
    wire.#lay();
    return wire;
  }

  /** The words before a command that is to run on this host. */
  on(host: Host): readonly string[] {
    return ['ip', 'netns', 'exec', this.#names[host]];
  }

  /** The router drops everything from now on, without a word to anybody. */
  swallow(): void {
    this.#forward(false);
  }

  mend(): void {
    this.#forward(true);
  }

  /** The VM's host is unplugged, or plugged in again. The router tells the worker that it finds no such host. */
  plug(on: boolean): void {
    const { vm } = this.#names;
    ip('-n', vm, 'link', 'set', 'eth', on ? 'up' : 'down');
    if (on) this.#address(vm, 'eth', '2', '2');
  }

  #lay(): void {
    const { worker, router, vm } = this.#names;
    for (const name of [worker, router, vm]) {
      ip('netns', 'add', name);
      standing.add(name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    for (const [host, net] of [
      [worker, '1'],
      [vm, '2'],
    ] as const) {
      ip('-n', router, 'link', 'add', `net${net}`, 'type', 'veth', 'peer', 'name', 'eth', 'netns', host);
      ip('-n', router, 'link', 'set', `net${net}`, 'up');
      ip('-n', host, 'link', 'set', 'eth', 'up');
      this.#address(router, `net${net}`, net, '1');
      this.#address(host, 'eth', net, '2');
    }
    this.#forward(true);
  }

  #address(name: string, device: string, net: string, host: string): void {
    ip('-n', name, 'address', 'replace', `10.0.${net}.${host}/24`, 'dev', device);
    ip('-n', name, 'address', 'replace', `fd00:${net}::${host}/64`, 'dev', device, 'nodad');
    if (host === '1') return;
    ip('-n', name, 'route', 'replace', 'default', 'via', `10.0.${net}.1`);
    ip('-n', name, '-6', 'route', 'replace', 'default', 'via', `fd00:${net}::1`);
  }

  #forward(on: boolean): void {
    const value = on ? 1 : 0;
    const script = `echo ${value} > /proc/sys/net/ipv4/ip_forward; echo ${value} > /proc/sys/net/ipv6/conf/all/forwarding`;
    ip('netns', 'exec', this.#names.router, 'sh', '-ec', script);
  }

  #remove(): void {
    for (const name of Object.values(this.#names)) remove(name);
  }
}

function ip(...words: readonly string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
}

function remove(name: string): void {
  if (!standing.delete(name)) return;
  try {
    ip('netns', 'delete', name);
  } catch {
    // Nothing can be done about it here.
  }
}

function reason(): string | false {
  if (!isRoot) return 'network namespaces need root';
  const name = `peerpod-${process.pid}-try`;
  try {
    ip('netns', 'add', name);
    standing.add(name);
    ip('netns', 'exec', name, 'sh', '-ec', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
    return false;
  } catch (error) {
    return `no network namespaces here: ${error instanceof Error ? error.message.trim() : String(error)}`;
  } finally {
    remove(name);
  }
}
