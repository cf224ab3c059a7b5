#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a pod VM that is no VM: the three programs of a pod VM as processes of this machine, on a loopback address of
# their own. For trying the exec provider, and as a pattern for scripts of your own; it isolates nothing.
#
# Machines live below PEERPOD_EXAMPLE_DIR. PEERPOD_PROGRAMS is a directory with the single-file programs; without it
# they are taken from the checkout that this script lies in.
set -eu
umask 077
here=$(dirname "$(readlink -f "$0")")
. "$here/common.sh"

document=$(cat)
id=$(machine_of "$(field owner)" "$(field token)")
dir=$state/$id
begin_machine

mkdir -p "$dir/fs/media/cidata"
# User-data goes from memory into a file that only this user can read, and never through an argument.
field userData >"$dir/fs/media/cidata/user-data"

address=$(reserve_address "$id")
start() {
  setsid "$@" </dev/null >>"$dir/console.log" 2>&1 &
}

start "$node" "$(program dev-agent peerpod-dev-agent)" -socket "$dir/agent.sock" -root "$dir/fs"
"$node" "$(program user-data process-user-data)" provision-files -root "$dir/fs" \
  -source "$dir/fs/media/cidata/user-data" -t 30 >>"$dir/console.log" 2>&1 || fail "process-user-data failed"
rm "$dir/fs/media/cidata/user-data"
start "$node" "$(program forwarder agent-protocol-forwarder)" -config "$dir/fs/run/peerpod/apf.json" \
  -listen "$address:${PEERPOD_FORWARDER_PORT:-15150}" -kata-agent-socket "$dir/agent.sock" -pod-namespace '' \
  -guest-root "$dir/fs"
forwarder=$!

tries=0
until grep -q 'forwarder listened' "$dir/console.log"; do
  kill -0 "$forwarder" 2>/dev/null || fail "the forwarder ended"
  tries=$((tries + 1))
  [ "$tries" -le 600 ] || fail "the forwarder did not listen within 30 s"
  sleep 0.05
done

finish_machine "$address"
