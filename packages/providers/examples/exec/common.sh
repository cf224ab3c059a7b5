# SPDX-License-Identifier: Apache-2.0
# What the scripts beside this one share. Read by them, not run.
# shellcheck shell=sh disable=SC2154
state=${PEERPOD_EXAMPLE_DIR:-/run/peerpod-example}
node=${PEERPOD_NODE:-node}

fail() {
  tail -n 5 "$dir/console.log" >&2 2>/dev/null || true
  echo "$1" >&2
  exit 1
}

# Ends well, with the answer, when the token was asked for before; else makes the machine's directory anew. A directory
# without an answer is a machine that was never finished.
begin_machine() {
  if [ -f "$dir/answer.json" ]; then
    cat "$dir/answer.json"
    exit 0
  fi
  remove_machine "$id"
  mkdir -p "$dir"
  field owner >"$dir/owner"
  field name >"$dir/name"
  # Last, and whole at once: what has a token is listed.
  field token >"$dir/token.new"
  mv "$dir/token.new" "$dir/token"
  # What every process of the machine inherits, and is found by.
  export PEERPOD_LOCAL_VM="$dir"
}

# Prints the answer, and keeps it for the next time.
finish_machine() {
  printf '{"id":"%s","name":"%s","ips":["%s"]}\n' "$id" "$(cat "$dir/name")" "$1" >"$dir/answer.new"
  mv "$dir/answer.new" "$dir/answer.json"
  cat "$dir/answer.json"
}

# A field of the document on standard input. The document holds a private key, so it is handed on through a pipe.
field() {
  printf '%s' "$document" | "$node" -e '
    const value = JSON.parse(require("node:fs").readFileSync(0, "utf8"))[process.argv[1]];
    if (typeof value !== "string") throw new Error(`the document has no ${process.argv[1]}`);
    process.stdout.write(value);' "$1"
}

# A number of the document.
number() {
  printf '%s' "$document" | "$node" -e '
    const value = JSON.parse(require("node:fs").readFileSync(0, "utf8"))[process.argv[1]];
    if (!Number.isSafeInteger(value)) throw new Error(`the document has no number ${process.argv[1]}`);
    process.stdout.write(String(value));' "$1"
}

# The id of a machine: the same for the same owner and token, so that it can be found without having been told.
machine_of() {
  printf '%s %s' "$1" "$2" | sha256sum | cut -c1-12
}

# A file or a directory of this machine's must be meant by an id, and nothing else.
is_id() {
  case $1 in
    '' | *[!0-9a-f]*) return 1 ;;
    *) return 0 ;;
  esac
}

# A loopback address that no other machine has: from 127.192.0.0/10, by a directory named after it.
reserve_address() {
  mkdir -p "$state/addresses"
  n=0
  while [ "$n" -lt 100 ]; do
    sum=$(printf '%s %s' "$1" "$n" | cksum | cut -d' ' -f1)
    candidate=127.$((192 + sum % 60)).$((sum / 64 % 256)).$((1 + sum / 16384 % 254))
    if mkdir "$state/addresses/$candidate" 2>/dev/null; then
      echo "$1" >"$state/addresses/$candidate/machine"
      echo "$candidate"
      return
    fi
    n=$((n + 1))
  done
  fail "no loopback address is free"
}

remove_machine() {
  is_id "$1" || return 0
  dir=$state/$1
  mark=PEERPOD_LOCAL_VM=$dir
  tries=0
  # Every process of a machine carries its mark, containers included.
  while pids=$(grep -lzxF "$mark" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | grep .); do
    signal=TERM
    [ "$tries" -lt 20 ] || signal=KILL
    [ "$tries" -lt 60 ] || fail "processes of $1 do not end: $pids"
    # shellcheck disable=SC2086
    kill "-$signal" $pids 2>/dev/null || true
    tries=$((tries + 1))
    sleep 0.1
  done
  for reserved in "$state"/addresses/*/; do
    [ -f "$reserved/machine" ] && [ "$(cat "$reserved/machine")" = "$1" ] || continue
    rm -r "$reserved"
  done
  rm -rf "$dir"
}

# The path of a program: of the single file in PEERPOD_PROGRAMS, or of the package in this checkout.
program() {
  if [ -n "${PEERPOD_PROGRAMS:-}" ]; then
    echo "$PEERPOD_PROGRAMS/$2.cjs"
  else
    echo "$here/../../../$1/bin/$2.js"
  fi
}
