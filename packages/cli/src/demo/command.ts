// SPDX-License-Identifier: Apache-2.0
// The command the demo runs in its pod. Text for a POSIX shell, and the choice between it and what the user wants.
import { usageError } from '../usage.js';

/**
 * Shows where it runs: the kernel, the processes above it up to the one that leads the VM, and who listens on the
 * loopback addresses that stand for pod VMs.
 */
const SCRIPT = String.raw`
echo "Hello from pod $HOSTNAME: this text came back through the tunnel."
uname -srm
echo "I am process $$, and above me are"
p=$PPID
while [ "$p" -gt 1 ]; do
  set -- $(tr '\0' ' ' < /proc/$p/cmdline)
  name=$(basename "$1")
  [ "$name" = node ] && name=$(basename "$2")
  # The VM is led by vm.js, or by its bundle; above it is the worker.
  case $name in cloud-api-adaptor*) break ;; esac
  echo "  $p  $name"
  case $name in vm.js | *-vm.cjs) break ;; esac
  while read -r key value; do [ "$key" = PPid: ] && p=$value; done < /proc/$p/status
done
echo "on addresses of pod VMs listen"
grep ': ......7F:.... 00000000:0000 0A' /proc/net/tcp | grep -v ': 0100007F' | while read -r _ address _; do
  set -- $(echo "$address" | sed 's/\(..\)\(..\)\(..\)\(..\):/0x\4 0x\3 0x\2 0x\1 0x/')
  printf '  %d.%d.%d.%d:%d\n' "$@"
done
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
  return { args: ['sh', '-c', SCRIPT], text: 'a few lines of sh: where am I?' };
}
