// SPDX-License-Identifier: Apache-2.0
// The small HTTP server that says how the process is: probes, metrics, and read-only JSON its owner adds. It takes no
// input beyond the path, so everything about a request that could be large, slow or many has a limit.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { isIP, type AddressInfo, type Socket } from 'node:net';
import { abortable, deadline } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { DaemonError, UsageError } from './errors.js';

/** What a probe answers: 200 or 503 with the reason as one line of text. */
export interface CheckResult {
  readonly ok: boolean;
  readonly reason: string;
}

/** What the server needs of a metrics registry; `Registry` of prom-client is one. */
export interface MetricsSource {
  readonly contentType: string;
  metrics(): Promise<string>;
}

export interface StatusOptions {
  /** `host:port`, like `127.0.0.1:8000` or `[::1]:0`. Port 0 lets the system choose. */
  readonly address: string;
  /** `/startup`: has the process come up? Once true it should stay true. */
  readonly startup: () => CheckResult | Promise<CheckResult>;
  /** `/readyz`: does it serve now? `/healthz` says no more than that the process answers. */
  readonly ready: () => CheckResult | Promise<CheckResult>;
  /** `/metrics`; left out, the path is not there. */
  readonly metrics?: MetricsSource;
  /** More GET paths; what the function gives is sent as JSON. */
  readonly routes?: Readonly<Record<string, () => unknown>>;
  readonly log: Logger;
  /**
   * Connections at one time. A further one takes the place of the oldest that has not asked anything yet, or is closed
   * where all are being answered. Default 64.
   */
  readonly maxConnections?: number;
  /** What the address was said with, for refusals. Default `-status-address`. */
  readonly setting?: string;
  /** How long a request may take to arrive, in milliseconds. Default 5000. */
  readonly requestMs?: number;
  /** How long a check or a route may take before the answer is 503, in milliseconds. Default 5000. */
  readonly answerMs?: number;
}

export interface StatusServer extends AsyncDisposable {
  /** The address in use, `host:port`, with the port that was chosen. */
  readonly address: string;
  /** Stops listening and ends all connections. Calling it again does nothing. */
  close(): Promise<void>;
}

const ANSWER_MS = 5000;

/**
 * Serves `/startup`, `/healthz`, `/readyz`, `/metrics` and the extra routes.
 *
 * @throws UsageError when the address is not `host:port`; DaemonError `ERR_STATUS_LISTEN` when it cannot be had
 */
export async function startStatusServer(options: StatusOptions): Promise<StatusServer> {
  const setting = options.setting ?? '-status-address';
  const { host, port } = parseHostPort(options.address, setting);
  const requestMs = options.requestMs ?? 5000;
  // Most programs of ours serve no status, and should not load HTTP at each start.
  const { createServer } = await import('node:http');
  const server = createServer({
    maxHeaderSize: 8192,
    headersTimeout: requestMs,
    requestTimeout: requestMs,
    keepAliveTimeout: requestMs,
    connectionsCheckingInterval: Math.min(1000, requestMs),
  });
  const door = makeDoor(server, options.maxConnections ?? 64);
  server.on('request', (request, response) => {
    door.asked(request.socket);
    void answer(options, request, response);
  });
  // A body is never wanted, so nobody is told to go on and send one.
  server.on('checkContinue', (request, response) => {
    door.asked(request.socket);
    void answer(options, request, response);
  });
  await listen(server, host, port, `${options.address} (${setting})`, setting);
  server.on('error', err => options.log.error({ err }, 'status server failed'));
  const bound = server.address() as AddressInfo;

  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= new Promise(done => {
      server.close(() => done());
      server.closeAllConnections();
    });
    return closing;
  };
  return { address: joinHostPort(bound.address, bound.port), close, [Symbol.asyncDispose]: close };
}

/**
 * Keeps the number of connections. Half a request costs its sender nothing, so it must not keep a probe out: when all
 * places are taken, the one goes that has had the longest time to ask and has not. Every request is answered once.
 */
function makeDoor(server: Server, places: number): { asked(socket: Socket): void } {
  const silent = new Set<Socket>();
  let open = 0;
  server.on('connection', socket => {
    open += 1;
    silent.add(socket);
    socket.once('close', () => {
      open -= 1;
      silent.delete(socket);
    });
    if (open <= places) return;
    const [oldest = socket] = silent;
    silent.delete(oldest);
    oldest.destroy();
  });
  return { asked: socket => void silent.delete(socket) };
}

async function answer(
  options: StatusOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // Nothing reads a body; what is sent of one is dropped with the connection.
  response.setHeader('connection', 'close');
  response.setHeader('cache-control', 'no-store');
  response.setHeader('x-content-type-options', 'nosniff');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    sendText(response, 405, 'only GET and HEAD are answered here');
    return;
  }
  if (!isAddressedToUs(request)) {
    sendText(response, 421, 'ask for this machine by its address or as localhost');
    return;
  }
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  try {
    await withDeadline(route(options, path, response), options.answerMs ?? ANSWER_MS);
  } catch (err) {
    options.log.warn({ err, path: path.slice(0, 200) }, 'status request failed');
    if (!response.headersSent) sendText(response, 503, 'the answer could not be made; the log says why');
    else response.destroy();
  }
}

/**
 * A web page can make a browser on this machine ask a loopback server by a name of the page's own (DNS rebinding) and
 * read the answer. So a server that only this machine reaches answers to no such name.
 */
function isAddressedToUs(request: IncomingMessage): boolean {
  if (!/^(127\.|::1$|::ffff:127\.)/.test(request.socket.localAddress ?? '')) return true;
  const host = (request.headers.host ?? 'localhost').replace(/:\d*$/, '').toLowerCase();
  return host === 'localhost' || isIP(host.replace(/^\[|\]$/g, '')) !== 0;
}

async function route(options: StatusOptions, path: string, response: ServerResponse): Promise<void> {
  switch (path) {
    case '/healthz':
      sendText(response, 200, 'alive');
      return;
    case '/startup':
      sendCheck(response, await options.startup());
      return;
    case '/readyz':
      sendCheck(response, await options.ready());
      return;
    case '/metrics':
      if (options.metrics !== undefined) {
        const text = await options.metrics.metrics();
        send(response, 200, options.metrics.contentType, text);
        return;
      }
      break;
    default: {
      const { routes } = options;
      if (routes !== undefined && Object.hasOwn(routes, path)) {
        const value: unknown = await routes[path]?.();
        send(response, 200, 'application/json; charset=utf-8', `${JSON.stringify(value ?? null)}\n`);
        return;
      }
    }
  }
  const paths = [
    '/startup',
    '/healthz',
    '/readyz',
    ...(options.metrics ? ['/metrics'] : []),
    ...Object.keys(options.routes ?? {}),
  ];
  sendText(response, 404, `not here; there are ${paths.join(', ')}`);
}

async function withDeadline(work: Promise<void>, answerMs: number): Promise<void> {
  using limit = deadline(answerMs);
  try {
    await abortable(work, limit);
  } catch (error) {
    throw limit.aborted ? new DaemonError('ERR_STATUS_TIMEOUT', `no answer within ${answerMs} ms`) : error;
  }
}

function sendCheck(response: ServerResponse, check: CheckResult): void {
  sendText(response, check.ok ? 200 : 503, check.reason.replaceAll(/\s+/g, ' '));
}

function sendText(response: ServerResponse, status: number, line: string): void {
  send(response, status, 'text/plain; charset=utf-8', `${line}\n`);
}

/** `end` leaves the body out of an answer to HEAD by itself. */
function send(response: ServerResponse, status: number, type: string, body: string): void {
  // The deadline has answered already.
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

/**
 * @param setting the flag that said it, for the refusal
 * @throws UsageError when the text is not `host:port` with a port from 0 to 65535; IPv6 addresses need brackets
 */
export function parseHostPort(text: string, setting?: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  const bracketed = match?.[1] !== undefined;
  if (
    match === null ||
    host === '' ||
    !(port <= 65_535) ||
    (bracketed && isIP(host.split('%', 1)[0] ?? '') !== 6)
  ) {
    throw new UsageError(
      `${setting === undefined ? '' : `${setting} is `}${JSON.stringify(text)}${setting === undefined ? ' is' : ','} not an address with a port`,
      'write HOST:PORT, like 127.0.0.1:8000 or [::1]:8000',
    );
  }
  return { host, port };
}

/** `host:port`, with brackets where the host has colons. */
export function joinHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function listen(server: Server, host: string, port: number, address: string, setting: string): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      fail(
        new DaemonError('ERR_STATUS_LISTEN', `cannot serve the status on ${address}: ${cause.message}`, {
          hint:
            cause.code === 'EADDRINUSE'
              ? `another process has the port; give another one with ${setting}`
              : `give an address of this machine with ${setting}${cause.code === 'EACCES' ? ', and a port from 1024 up' : ''}`,
          cause,
        }),
      );
    });
    server.listen({ host, port }, () => {
      server.removeAllListeners('error');
      done();
    });
  });
}
