// SPDX-License-Identifier: Apache-2.0
// The real program with a directory of its own, somebody on its control socket, and an adaptor whose sockets are real and
// whose sandboxes are not: what a proxy makes of an adaptor that comes, goes and dies is the matter here.
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  healthService,
  hypervisorService,
  operatorService,
  podVmInfoService,
  proxyService,
} from '@peerpod-tls/agent-protocol';
import { createLogger, listenAside } from '@peerpod-tls/daemon';
import {
  clientOf,
  connectUnix,
  implement,
  TtrpcServer,
  type Handlers,
  type TtrpcClient,
  type TypedClient,
} from '@peerpod-tls/ttrpc';
import { temporary } from '../../../../test/kit/log.js';
import { Program, type ProgramOptions, type Teardown } from '../../../../test/kit/program.js';
import { dialHypervisor, type ShimHypervisor } from '../../../../test/kit/shim.js';
import { proxyFiles, type ProxyFiles, type ProxySpec } from '../../src/control/index.js';

const log = createLogger({ name: 'test', level: 'silent' });

export type Calls = TypedClient<typeof proxyService>;

export interface Scope extends Teardown {
  teardown(after: () => void): unknown;
}

export class World {
  readonly t: Scope;
  readonly directory: string;
  readonly place: string;
  readonly socket: string;
  readonly files: ProxyFiles;

  constructor(t: Scope) {
    this.t = t;
    this.directory = temporary(t);
    this.place = join(this.directory, 'gen');
    this.socket = join(this.directory, 'hypervisor.sock');
    this.files = proxyFiles(this.place);
  }

  /** The program, once it serves. */
  async start(argv: readonly string[] = [], o: ProgramOptions = {}): Promise<Program> {
    const program = this.launch(argv, o);
    await program.said('proxy listened');
    return program;
  }

  launch(argv: readonly string[] = [], o: ProgramOptions = {}): Program {
    return new Program(
      this.t,
      'agent-protocol-proxy',
      ['-directory', this.place, '-socket', this.socket, '-data-path-threads=1', '-log-level=debug', ...argv],
      o,
    );
  }

  async control(): Promise<{ client: TtrpcClient; calls: Calls }> {
    const client = await connectUnix(this.files.controlSocket);
    this.t.teardown(() => client.close());
    return { client, calls: clientOf(proxyService, client) };
  }

  async shim(): Promise<ShimHypervisor> {
    const shim = await dialHypervisor(this.socket);
    this.t.teardown(() => shim.client.close());
    return shim;
  }

  spec(sandbox: string, port: number): ProxySpec {
    return {
      sandbox,
      pod: `default/${sandbox}`,
      socket: join(this.directory, sandbox, 'agent.ttrpc'),
      addresses: ['127.0.0.1'],
      port,
      tls: { material: 'disabled', serverName: '' },
      rewrites: { directVolumes: '/nowhere' },
      limits: { redialBudgetMs: 2000 },
    };
  }

  /** An adaptor that serves its socket and has said so. */
  async adaptor(o: AdaptorOptions = {}): Promise<StandIn> {
    const standIn = new StandIn(this, o);
    await standIn.start();
    this.t.teardown(() => standIn.die());
    return standIn;
  }
}

export interface AdaptorOptions {
  readonly hypervisor?: Partial<Handlers<typeof hypervisorService>>;
  readonly info?: Partial<Handlers<typeof podVmInfoService>>;
  readonly operator?: Partial<Handlers<typeof operatorService>>;
}

class StandIn {
  /** Calls it got, as `Method id`. */
  readonly got: string[] = [];
  readonly server: TtrpcServer;
  readonly #world: World;
  #close: () => Promise<void> = async () => {};
  #control: TtrpcClient | null = null;

  constructor(world: World, { hypervisor = {}, info = {}, operator = {} }: AdaptorOptions) {
    this.#world = world;
    const noted =
      <Q extends { readonly id: string }, A, C>(
        method: string,
        handle: ((q: Q, c: C) => A) | undefined,
        none: A,
      ) =>
      (request: Q, context: C): A => {
        this.got.push(`${method} ${request.id}`);
        return handle === undefined ? none : handle(request, context);
      };
    this.server = new TtrpcServer({
      services: [
        implement(hypervisorService, {
          CreateVM: noted('CreateVM', hypervisor.CreateVM, { agentSocketPath: '/from/the/adaptor' }),
          StartVM: noted('StartVM', hypervisor.StartVM, {}),
          StopVM: noted('StopVM', hypervisor.StopVM, {}),
          Version: hypervisor.Version ?? (() => ({ version: 'one' })),
        }),
        implement(operatorService, operator),
        implement(podVmInfoService, { GetInfo: () => ({ VMID: 'vm-1' }), ...info }),
      ],
    });
  }

  async start(): Promise<void> {
    const { files } = this.#world;
    const listener = await listenAside({
      path: files.adaptorSocket,
      onConnection: socket => void this.server.serve(socket),
      log,
    });
    this.#close = () => listener.close();
    this.#control = await connectUnix(files.controlSocket);
    await clientOf(proxyService, this.#control).Hello({ api: 1, program: 'cloud-api-adaptor', serves: true });
  }

  /** As a kill ends it: every connection at once. */
  async die(): Promise<void> {
    this.#control?.close();
    this.server.destroy();
    await this.#close();
  }
}

/** An agent behind a plain port, as a VM without TLS has it. */
export async function plainAgent(t: Scope): Promise<number> {
  const server = new TtrpcServer({
    services: [
      implement(healthService, { Check: () => ({ status: 1 }), Version: () => ({ agentVersion: 'one' }) }),
    ],
  });
  const listener = createServer(socket => void server.serve(socket));
  await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.destroy();
    listener.close();
  });
  const address = listener.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
