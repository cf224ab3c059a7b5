// SPDX-License-Identifier: Apache-2.0
// What the adaptor's log events mean, as steps of a story. Pure: an event in, words and fields out.
import { bytes, count, roughly, shortFingerprint, span } from '../terminal/format.js';
import { printable } from '../terminal/text.js';
import type { LogEvent } from './log-events.js';

/** One step: what it is about, what a person reads, what a script reads. */
export interface Step {
  readonly name: string;
  readonly lines: readonly string[];
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Turns events into steps; remembers what a later step tells together with its own. */
export class Story {
  #client = '';
  #linkTold = false;

  /** The step for an event of this sandbox's life, or null for an event that is no step. */
  stepFor(event: LogEvent, now: Date): Step | null {
    const texts = tellers.get(event.message);
    switch (event.message) {
      case 'identity ready':
        this.#client = event.nested('client')?.text('subject') ?? '';
        break;
      case 'link verified':
        // Every connection of a shim has a link of its own; one is enough to see what they are like.
        if (this.#linkTold) return null;
        this.#linkTold = true;
        break;
    }
    if (texts === undefined) return null;
    const [name, tell] = texts;
    const { lines, fields } = tell(event, { now, client: this.#client });
    return { name, lines: lines.map(printable), fields };
  }
}

interface Known {
  readonly now: Date;
  readonly client: string;
}

type Teller = (event: LogEvent, known: Known) => Omit<Step, 'name'>;

const tellers: ReadonlyMap<string, readonly [name: string, tell: Teller]> = new Map([
  ['adaptor started', ['adaptor', adaptorStarted]],
  ['identity ready', ['identity', identityReady]],
  ['certificate issued', ['certificate', certificateIssued]],
  ['user-data built', ['user-data', userDataBuilt]],
  ['instance created', ['pod VM', instanceCreated]],
  ['link verified', ['handshake', linkJudged]],
  ['agent answered', ['agent', agentAnswered]],
  ['sandbox started', ['sandbox', sandboxStarted]],
]);

function adaptorStarted(e: LogEvent): Omit<Step, 'name'> {
  const fields = { provider: e.text('provider'), mode: e.text('mode'), status: e.text('status') };
  return {
    lines: [`provider ${fields.provider}, ${fields.mode} TLS, status on http://${fields.status}`],
    fields,
  };
}

function identityReady(e: LogEvent, { now }: Known): Omit<Step, 'name'> {
  const authority = certificate(e.nested('authority'));
  const client = certificate(e.nested('client'));
  const tell = (what: string, c: CertificateFacts) =>
    c === null ? [] : [`${what} ${c.subject}, ${lifetime(c.notAfter, now)}`];
  return {
    lines: [...tell('authority', authority), ...tell('client   ', client)],
    fields: { mode: e.text('mode'), authority, client },
  };
}

function certificateIssued(e: LogEvent, { now }: Known): Omit<Step, 'name'> {
  const names = e.list('names');
  const ms = e.number('ms');
  const fields = { ...certificate(e), names, ms };
  return {
    lines: [
      `for ${names.join(', ')}${ms === undefined ? '' : `, made in ${span(ms)}`}`,
      `${e.text('subject')}, ${lifetime(e.text('notAfter'), now)}`,
      `sha256 ${shortFingerprint(e.text('fingerprint'))}`,
    ],
    fields,
  };
}

function userDataBuilt(e: LogEvent): Omit<Step, 'name'> {
  const size = e.number('bytes') ?? 0;
  const files = e.list('files');
  return {
    lines: [`${bytes(size)} of cloud-config with ${files.join(', ')}`],
    fields: { bytes: size, files },
  };
}

function instanceCreated(e: LogEvent): Omit<Step, 'name'> {
  const addresses = e.list('addresses');
  const ms = e.number('ms');
  return {
    lines: [`${e.text('name')} at ${addresses.join(', ')}${ms === undefined ? '' : `, up in ${span(ms)}`}`],
    fields: { instance: e.text('instance'), name: e.text('name'), addresses, ms },
  };
}

function linkJudged(e: LogEvent, { client }: Known): Omit<Step, 'name'> {
  const names = e.list('names');
  const ms = e.number('handshakeMs');
  const took = ms === undefined ? '' : ` in ${span(ms)}`;
  const fields = {
    remote: e.text('remote'),
    protocol: e.text('protocol'),
    cipher: e.text('cipher'),
    server: { subject: e.text('subject'), names, fingerprint: e.text('fingerprint') },
    client,
    handshakeMs: ms,
  };
  return {
    lines: [
      `${fields.protocol}${took}, ${fields.cipher}`,
      `the VM proved to be ${names.join(', ')}`,
      ...(client === '' ? [] : [`the adaptor proved to be ${client}`]),
    ],
    fields,
  };
}

function agentAnswered(e: LogEvent): Omit<Step, 'name'> {
  const attempts = e.number('attempts') ?? 1;
  const ms = e.number('ms');
  return {
    lines: [
      `answered a health check through the tunnel${attempts > 1 ? ` at ${count(attempts, 'attempt')}` : ''}`,
    ],
    fields: { attempts, ms },
  };
}

function sandboxStarted(e: LogEvent): Omit<Step, 'name'> {
  const ms = e.number('ms');
  return {
    lines: [`StartVM is done${ms === undefined ? '' : ` in ${span(ms)}`}; the shim's socket is open`],
    fields: { pod: e.text('pod'), socket: e.text('socket'), ms },
  };
}

type CertificateFacts = {
  readonly subject: string;
  readonly fingerprint: string;
  readonly notAfter: string;
} | null;

function certificate(e: LogEvent | null): CertificateFacts {
  if (e === null) return null;
  return { subject: e.text('subject'), fingerprint: e.text('fingerprint'), notAfter: e.text('notAfter') };
}

function lifetime(notAfter: string, now: Date): string {
  const until = new Date(notAfter);
  return Number.isNaN(until.getTime()) ? 'of unknown lifetime' : roughly(until.getTime() - now.getTime());
}

/** A line for an event that happens while the demo is serving; null for the daily round. */
export function remark(event: LogEvent): string | null {
  const sandbox = printable(event.text('sandbox'));
  const ms = event.number('ms');
  switch (event.message) {
    case 'sandbox started':
      return `sandbox ${sandbox} started${ms === undefined ? '' : ` in ${span(ms)}`}`;
    case 'sandbox stopped':
      return `sandbox ${sandbox} stopped`;
    case 'link lost':
      return `the link of ${sandbox} was cut`;
    case 'link redialled': {
      const [replayed, failed] = [event.number('replayed') ?? 0, event.number('failed') ?? 0];
      return `the link of ${sandbox} is back after ${span(ms ?? 0)}: ${count(replayed, 'call')} sent again, ${failed} answered Unavailable`;
    }
    default:
      return event.level !== 'quiet' ? printable(`${event.message}${reasonOf(event)}`) : null;
  }
}

function reasonOf(event: LogEvent): string {
  const reason = event.text('reason') || event.nested('err')?.text('message');
  return reason === undefined || reason === '' ? '' : `: ${reason}`;
}

/** Whether an event of the VM tells that somebody was not let in: for the certificate, or for not speaking TLS at all. */
export function isRefusal(event: LogEvent): boolean {
  return event.message === 'peer refused' || event.message === 'connection refused';
}

/** A refusal as the VM told it: who came, and why that was not enough. */
export function refusalRemark(event: LogEvent): string {
  const expected = event.list('expected').map(text => text.replace(/ sha256 .*$/u, ''));
  const wanted = expected.length === 0 ? '' : `; it expects ${expected.join(', ')}`;
  return printable(`the VM refused ${event.text('remote')}: ${event.text('text')}${wanted}`);
}
