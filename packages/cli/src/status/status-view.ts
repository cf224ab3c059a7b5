// SPDX-License-Identifier: Apache-2.0
// The figures of an adaptor as lines for a person; `peerpod status` and the demo's live view share them.
import { bytes, count, roughly, span } from '../terminal/format.js';
import type { Style } from '../terminal/style.js';
import { pad, printable } from '../terminal/text.js';
import type { Summary } from './summary.js';

const LABEL = 14;
/** Certificates that end sooner than this are shown as a warning, in seconds. */
const SOON = 30 * 24 * 3600;

/** One labelled line per topic. Topics with nothing to tell are left out. */
export function summaryLines(s: Summary, style: Style): string[] {
  const { sign } = style;
  const links = [count(s.links, 'open link')];
  if (s.redials > 0) links.push(`${s.redials} redialled`);
  if (s.failedRedials > 0) links.push(style.red(`${s.failedRedials} lost for good`));
  const calls = [s.calls.toLocaleString('en')];
  if (s.callsPerSecond !== null) calls.push(`${s.callsPerSecond.toFixed(1)}/s`);
  if (s.p50Ms !== null && s.p99Ms !== null) calls.push(`p50 ${span(s.p50Ms)}`, `p99 ${span(s.p99Ms)}`);
  const rate = s.bytesPerSecond === null ? [] : [`${bytes(s.bytesPerSecond)}/s`];
  const traffic = [`${sign.up} ${bytes(s.requestBytes)}`, `${sign.down} ${bytes(s.responseBytes)}`, ...rate];
  const failures = s.failedCalls.map(([code, n]) => `${printable(code)} ${n}`);
  const refusals = s.refusals.map(([rule, n]) => `${printable(rule)} ${n}`);
  return [
    field('links', links.join(separator(style)), style),
    field('calls', calls.join(separator(style)), style),
    ...(failures.length === 0 ? [] : [field('failed', style.yellow(failures.join(', ')), style)]),
    field('traffic', traffic.join(separator(style)), style),
    ...(refusals.length === 0 ? [] : [field('refused', style.yellow(refusals.join(', ')), style)]),
    ...(s.protocolErrors === 0 ? [] : [field('bad frames', style.yellow(String(s.protocolErrors)), style)]),
    ...expiryLine(s, style),
    ...troubleLines(s, style),
  ];
}

/** What the adaptor's process itself costs, and how fast its VMs start. */
export function processLine(s: Summary, style: Style): string[] {
  const parts = [
    ...(s.upMs === null ? [] : [`up ${roughly(s.upMs)}`]),
    ...(s.residentBytes === null ? [] : [`${bytes(s.residentBytes)} memory`]),
    ...(s.startP50Ms === null ? [] : [`a VM starts in ${span(s.startP50Ms)}`]),
  ];
  return parts.length === 0 ? [] : [field('process', parts.join(separator(style)), style)];
}

function expiryLine(s: Summary, style: Style): string[] {
  if (s.expiry.length === 0) return [];
  const parts = s.expiry.map(([kind, seconds]) => {
    const text = seconds < 0 ? `${printable(kind)} expired` : `${printable(kind)} ${roughly(seconds * 1000)}`;
    if (seconds < 0) return style.red(text);
    return seconds < SOON ? style.yellow(text) : text;
  });
  return [field('certificates', parts.join(separator(style)), style)];
}

function troubleLines(s: Summary, style: Style): string[] {
  const orphans = `${count(s.orphans, 'instance')} on the platform belong to no sandbox`;
  const aside = `${count(s.setAside, 'sandbox record')} could not be read at start`;
  return [
    ...(s.orphans === 0 ? [] : [field('orphans', style.red(orphans), style)]),
    ...(s.setAside === 0 ? [] : [field('state', style.red(aside), style)]),
  ];
}

const separator = (style: Style) => ` ${style.dim(style.sign.dot)} `;

/** A dim label and its value. */
export function field(label: string, value: string, style: Style): string {
  return style.dim(pad(label, LABEL)) + value;
}
