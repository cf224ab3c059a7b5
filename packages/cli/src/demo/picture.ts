// SPDX-License-Identifier: Apache-2.0
// The picture at the top of the demo: the way of a call, drawn once. Nothing moves here.
import type { Style } from '../terminal/style.js';
import { columnsOf } from '../terminal/text.js';

const NODE = 'shim ─▶ agent-protocol-proxy';
/** Beside the way of a call: it may come and go. */
const DRIVER = 'cloud-api-adaptor ╯'.padStart(NODE.length - 5);
const VM = 'agent-protocol-forwarder ─▶ agent';
const LINK = '═ mTLS ═';

/** The way of a call as a drawing, or as one line where a drawing does not fit. */
export function picture(style: Style, columns: number | undefined): string[] {
  const width = NODE.length + VM.length + LINK.length + 9;
  if (!style.unicode) return ascii(style);
  if (columns !== undefined && columns < width) {
    return [` shim ─▶ proxy ${style.cyan('═ mTLS ═')} forwarder ─▶ agent`];
  }
  const gap = ' '.repeat(LINK.length);
  const { dim } = style;
  const middle = [dim('│'), ` ${NODE} `, dim('╞'), style.cyan(LINK), dim('╡'), ` ${VM} `, dim('│')].join('');
  const below = [dim('│'), ` ${DRIVER.padEnd(NODE.length)} `, dim('│'), gap, dim('│')].join('');
  return [
    ` ${dim(top('worker node', NODE))}${gap}${dim(top('pod VM', VM))}`,
    ` ${middle}`,
    ` ${below} ${' '.repeat(VM.length)} ${dim('│')}`,
    ` ${dim(bottom(NODE))}${gap}${dim(bottom(VM))}`,
  ];
}

function top(title: string, content: string): string {
  return `╭─ ${title} ${'─'.repeat(columnsOf(content) - columnsOf(title) - 1)}╮`;
}

function bottom(content: string): string {
  return `╰${'─'.repeat(columnsOf(content) + 2)}╯`;
}

function ascii(style: Style): string[] {
  return [
    `  shim -> agent-protocol-proxy ${style.cyan('= mTLS =')} agent-protocol-forwarder -> agent`,
    style.dim('            worker node                    pod VM'),
  ];
}
