// SPDX-License-Identifier: Apache-2.0
// The command the demo runs in its pod. Text for a POSIX shell, and the choice between it and what the user wants.
import { usageError } from '../usage.js';

/** Shows where it runs: the kernel, the processes above it up to the one that leads the VM, and its environment. */
const SCRIPT = `
echo "Hello from container $HOSTNAME. This text came back through the tunnel."
uname -srm
echo "above me:"
p=$PPID
while [ "\${p:-0}" -gt 1 ]; do
  set -- $(tr '\\0' ' ' < "/proc/$p/cmdline" 2>/dev/null)
  name=\${1##*/}
  [ "$name" = node ] && name=\${2##*/}
  echo "  $p \${name:-?}"
  while read -r key value rest; do [ "$key" = PPid: ] && next=$value; done < "/proc/$p/status"
  p=$next
done
echo "my environment:"
env | sort | sed 's/^/  /'
`.trim();

export interface DemoCommand {
  readonly args: readonly string[];
  /** How it is told to a person. */
  readonly text: string;
}

/** The words behind `--`, or the shell text of `-command`, or else the demo's own. */
export function chooseCommand(text: string | undefined, tail: readonly string[] | null): DemoCommand {
  if (text !== undefined && tail !== null) {
    throw usageError('the command is given twice, by -command and behind --', 'leave one of them out');
  }
  if (tail !== null) {
    if (tail.length === 0)
      throw usageError('there is no command behind --', 'as in: peerpod demo -- uname -a');
    return { args: tail, text: tail.join(' ') };
  }
  if (text !== undefined) return { args: ['sh', '-c', text], text };
  return { args: ['sh', '-c', SCRIPT], text: 'sh -c "echo, uname, ps, env"' };
}
