// SPDX-License-Identifier: Apache-2.0
// How streams are read in this process, as one figure in Prometheus' text format.
import { readsInForce } from '@peerpod-tls/link';

const NAME = 'peerpod_lent_reads';
const HELP =
  '1 where streams are read into one buffer that is lent, 0 where each read has one of its own and costs more.';

export function readsFigure(): string {
  return `# HELP ${NAME} ${HELP}\n# TYPE ${NAME} gauge\n${NAME} ${readsInForce() === 'lent' ? 1 : 0}\n`;
}
