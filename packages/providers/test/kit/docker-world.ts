// SPDX-License-Identifier: Apache-2.0
// A Docker Engine with one network and one image, and the docker provider on it, for the tests of that provider.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { parseFlags } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';
import { docker } from '../../src/docker/docker.js';
import type { InstanceSpec, Provider } from '../../src/provider.js';
import { startEngine, type TestEngine } from '../../../../test/kit/docker-engine.js';
import { buildImage, makeBundle, PODVM_IMAGE } from '../../../../test/kit/docker-images.js';

export class DockerWorld {
  readonly engine: TestEngine;
  readonly network: string;
  readonly seeds: string;

  constructor(engine: TestEngine, network: string) {
    this.engine = engine;
    this.network = network;
    this.seeds = path.join(engine.directory, 'seeds');
  }

  static async start(): Promise<DockerWorld> {
    const engine = await startEngine();
    try {
      const network = `ppt-${process.pid}`;
      const subnet = `10.213.${(process.pid % 250) + 1}.0/24`;
      const made = await engine.docker('network', 'create', '--subnet', subnet, network);
      if (made.code !== 0) throw new Error(made.stderr);
      await makeBundle();
      await buildImage(engine, PODVM_IMAGE, 'podvm-files/Dockerfile');
      return new DockerWorld(engine, network);
    } catch (error) {
      await engine.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.engine.docker('network', 'rm', this.network);
    await this.engine.close();
  }

  /** A provider of the adaptor that has `pods` as its pods directory. */
  provider(log: Logger, flags: readonly string[] = [], pods = 'pods'): Promise<Provider> {
    const argv = [
      `-docker-host=${this.engine.host}`,
      `-docker-network-name=${this.network}`,
      `-data-dir=${this.seeds}`,
      ...flags,
    ];
    return makeProvider(log, argv, path.join(this.engine.directory, pods));
  }

  /** Every container on the engine, and all user-data on this host. */
  async leftovers(): Promise<string[]> {
    const { stdout } = await this.engine.docker('ps', '-a', '--format', '{{.Names}}');
    const containers = stdout.split('\n').filter(name => name !== '');
    return [...containers, ...userDataIn(this.seeds)];
  }

  async inspect(id: string): Promise<Record<string, unknown>> {
    const { stdout } = await this.engine.docker('inspect', id);
    const parsed: unknown = JSON.parse(stdout);
    const first: unknown = Array.isArray(parsed) ? parsed[0] : null;
    if (typeof first !== 'object' || first === null) throw new Error(`no container ${id}`);
    return { ...first };
  }
}

export function userDataIn(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(name =>
      name.endsWith('user-data'),
    );
  } catch {
    return [];
  }
}

/** The docker provider as the program makes it from a command line. */
export async function makeProvider(
  log: Logger,
  argv: readonly string[],
  podsDir = '/run/pods',
): Promise<Provider> {
  const parsed = parseFlags({
    program: 'test',
    usage: 'test',
    flags: docker.flags,
    argv: [...argv],
    env: {},
  });
  if (parsed.t === 'help') throw new Error('no flags but help');
  return docker.create(parsed.values, { log, podsDir, forwarderPort: 15_150 });
}

export const specOf = (name: string, userData: string, more: Partial<InstanceSpec> = {}): InstanceSpec => ({
  sandbox: `sandbox-${name}`,
  name: `podvm-${name}`,
  podName: name,
  podNamespace: 'default',
  userData,
  instanceType: '',
  image: '',
  vcpus: 0,
  memoryMiB: 0,
  gpus: 0,
  ...more,
});
