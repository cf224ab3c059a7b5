#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lists the machines of the adaptor that asks, half made ones included.
set -eu
here=$(dirname "$(readlink -f "$0")")
. "$here/common.sh"

document=$(cat)
owner=$(field owner)
comma=
printf '{"instances":['
for dir in "$state"/*/; do
  [ -f "$dir/token" ] && [ "$(cat "$dir/owner")" = "$owner" ] || continue
  printf '%s{"id":"%s","name":"%s","token":"%s"}' "$comma" "$(basename "$dir")" "$(cat "$dir/name")" "$(cat "$dir/token")"
  comma=,
done
printf ']}\n'
