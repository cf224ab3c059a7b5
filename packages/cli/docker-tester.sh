#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the tester of docker-compose.yml does: the calls a shim makes, one after another, and what came back. Its exit
# code says whether all of them did what they should.
set -eu

say() { printf '\n--- %s\n' "$*"; }

say "a pod VM for one command, made and deleted through $REMOTE_HYPERVISOR_ENDPOINT"
peerpod run --name compose --no-stdin -- sh -c '
  echo "hello from $(hostname), user $(id -u)"
  grep CapEff /proc/self/status'

say 'the exit code of a command comes back'
code=0
peerpod run --name compose --no-stdin --quiet -- sh -c 'exit 42' || code=$?
echo "exit code $code"
[ "$code" -eq 42 ]

say 'a pod VM that stays, and what the adaptor says of it'
id=$(peerpod run --name compose --detach --no-stdin --quiet -- sleep 60)
peerpod ps
node -e "fetch('http://127.0.0.1:8000/sandboxes').then(a => a.json()).then(({ sandboxes: [{ tls, serverName, leaf }] }) =>
  console.log('TLS: ' + tls + (serverName ? ', server name ' + serverName : '') + (leaf ? ', certificate ' + leaf.subject + ' until ' + leaf.notAfter : '')))"
peerpod status || [ "$?" -eq 1 ]
peerpod stop "$id"

say 'all of it worked'
