#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Deletes what create-processes.sh or create-qemu.sh made: its processes, its directory, its address. The id is the argument; there is none when
# the adaptor never learnt it, and the token tells which machine is meant. One that is not there is a success.
set -eu
here=$(dirname "$(readlink -f "$0")")
. "$here/common.sh"

document=$(cat)
remove_machine "${1:-$(machine_of "$(field owner)" "$(field token)")}"
