#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A pod VM that is a container: turns user-data into files, then runs agent and forwarder until one of them ends. It is
# process 1, so it takes the place of an init: it reaps, and "all processes" below are those of this container alone.
set -eu

say() { printf 'pod-vm: %s\n' "$*"; }

if [ "$$" -ne 1 ]; then
  say 'this is the first process of a container and nothing else; run it without --init and without --pid' >&2
  exit 1
fi

SEED=/media/cidata/user-data
AGENT_SOCKET=/run/kata-agent/agent.sock
PORT=${FORWARDER_PORT:-15150}

power_off() {
  trap '' TERM INT USR1
  say "powering off, exit code $1"
  kill -TERM -1 2>/dev/null || :
  tries=0
  while kill -0 -1 2>/dev/null && [ "$tries" -lt 30 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -KILL -1 2>/dev/null || :
  exit "$1"
}
trap 'power_off 0' TERM INT
trap 'power_off 1' USR1

# Runs a program whose end is the end of the VM.
keep() {
  name=$1
  shift
  {
    code=0
    "$@" || code=$?
    say "$name ended with exit code $code"
    kill -USR1 1
  } &
}

say "booting $(hostname)"
mkdir -p -m 700 /run/kata-agent
process-user-data provision-files -t 30 &
wait "$!" || {
  say 'no usable user-data: nothing to serve'
  exit 1
}
# User-data that was copied in has done its work and holds a private key. One that is mounted stays, for root alone.
rm -f "$SEED" 2>/dev/null || :

TLS_OPTIONS=
OPTIONS=
if [ -r /etc/default/agent-protocol-forwarder ]; then . /etc/default/agent-protocol-forwarder; fi
arguments="$TLS_OPTIONS $OPTIONS ${FORWARDER_OPTIONS:-}"
unset FORWARDER_OPTIONS FORWARDER_PORT

keep peerpod-dev-agent peerpod-dev-agent -socket "$AGENT_SOCKET" -keep-socket -root /
# The options are argv without quotes, as systemd splits them; none of them is a pattern. There is no network
# namespace to join: the container's is the pod's.
set -f
# shellcheck disable=SC2086
keep agent-protocol-forwarder agent-protocol-forwarder -listen "0.0.0.0:$PORT" -kata-agent-socket "$AGENT_SOCKET" \
  -pod-namespace= $arguments
set +f

while :; do wait; done
