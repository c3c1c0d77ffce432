#!/usr/bin/env bash
# Prints the functions that a daemon runs, from its start to its rest: packaging/functions_run.sh BINARY (not stripped).
#
# valgrind sees them on a workday (workday.sh). The order is that of the binary.
set -euo pipefail

floe="$(realpath "$1")"
cd "$(dirname "$0")/.."
seen="$(mktemp -d "${TMPDIR:-/tmp}/floe-functions.XXXXXX")"
trap 'rm -rf "$seen"' EXIT

packaging/workday.sh 300 "$floe" \
    valgrind --tool=callgrind --demangle=no --callgrind-out-file="$seen/%p" "$floe"
calls="$(grep --files-with-matches "^cmd: .* run " "$seen"/* || true)"
if [[ -z "$calls" ]] || ! grep -q '^ *summary\|^totals' "$calls"; then
    printf 'error: valgrind counted nothing\nhint: what it said is above\n' >&2
    exit 1
fi

# A name stands where its function is first mentioned, as one that runs or that is called.
sed -n "s/^c\?fn=([0-9]*) //p" "$calls" | sed "s/'[0-9]*\$//" | sort -u >"$seen/called"
nm --numeric-sort "$floe" | awk 'NR == FNR { called[$1]; next } $2 ~ /[tTwW]/ && $3 in called { print $3 }' "$seen/called" -
