// SPDX-License-Identifier: Apache-2.0
// The method list of `peerpod agent list` as text.
import {
  type FieldInfo,
  type MethodInfo,
  agentServiceName,
  healthServiceName,
  listMethods,
  traitsOf,
} from '@peerpod-tls/agent-protocol';
import type { Style } from '../terminal/style.js';
import { table } from '../terminal/table.js';

/** Every method of the agent's services, with the fields of its request. */
export function methodList(style: Style, width?: number): string {
  const sections = [agentServiceName, healthServiceName].map(service => {
    const methods = listMethods().filter(m => m.service === service);
    const rows = methods.map(m => [
      m.method,
      traitsOf(m.service, m.method).blocks ? style.yellow('waits') : '',
      style.dim(m.request.map(f => f.name).join(', ')),
    ]);
    return `${style.bold(service)}\n${table(rows, { indent: 2, width }).join('\n')}\n`;
  });
  return sections.join('\n');
}

/** One method: the fields of its request and of its answer. */
export function methodDetails(method: MethodInfo, style: Style): string {
  const traits = traitsOf(method.service, method.method);
  const remarks = [
    traits.blocks ? 'waits without limit for something to happen' : '',
    traits.slow ? 'may take seconds' : '',
    traits.replay ? 'is sent again when the link is lost' : 'is never sent twice',
  ].filter(remark => remark !== '');
  return [
    `${style.bold(method.method)}  ${style.dim(method.service)}`,
    `  ${remarks.join('; ')}`,
    '',
    ...fields('request', method.request, style),
    '',
    ...fields('answer', method.response, style),
    '',
  ].join('\n');
}

function fields(title: string, list: readonly FieldInfo[], style: Style): string[] {
  if (list.length === 0) return [`${title}: ${style.dim('no fields')}`];
  return [
    `${title}:`,
    ...table(
      list.map(f => [f.name, style.dim(f.type)]),
      { indent: 2 },
    ),
  ];
}
