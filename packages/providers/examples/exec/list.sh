#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lists the machines of the adaptor that asks, half made ones included. Others may be made and removed meanwhile: what
# is gone half way through is left out.
set -eu
here=$(dirname "$(readlink -f "$0")")
. "$here/common.sh"

document=$(cat)
owner=$(field owner)
comma=
printf '{"instances":['
for dir in "$state"/*/; do
  token=$(cat "$dir/token" 2>/dev/null) && name=$(cat "$dir/name" 2>/dev/null) || continue
  [ "$(cat "$dir/owner" 2>/dev/null)" = "$owner" ] || continue
  printf '%s{"id":"%s","name":"%s","token":"%s"}' "$comma" "$(basename "$dir")" "$name" "$token"
  comma=,
done
printf ']}\n'
