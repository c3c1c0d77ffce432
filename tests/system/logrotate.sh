#!/usr/bin/env bash
# Debian's logrotate turns the log over again and again, by `create` or by `copytruncate`, while Floe follows.
# Usage: logrotate.sh create|copytruncate
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

how="${1:?create or copytruncate}"
needs logrotate
rounds=40
lines=200

mkdir "$WORK/logs"
cat >"$WORK/rotate.conf" <<CONF
$WORK/logs/app.log {
    rotate 50
    $how
    nocompress
    missingok
    su root root
}
CONF
chmod 0644 "$WORK/rotate.conf"
chmod 0755 "$WORK" "$WORK/logs"

start_sandbox
start_floe "$WORK/logs/app.log" "$NUMBERED"
# What was rotated away before Floe first looked is not its to read; so the first lines are billed first.
write_lines 1 "$lines" >>"$WORK/logs/app.log"
wait_for 20 has_billed "$lines" || fail "the first lines were not billed"
for ((round = 1; round < rounds; round++)); do
    logrotate --force --state "$WORK/rotate.state" "$WORK/rotate.conf" 2>"$WORK/rotate.log" ||
        { cat "$WORK/rotate.log"; fail "logrotate failed"; }
    # A writer that opens the file once and appends, as a service does.
    write_lines $((round * lines + 1)) $(((round + 1) * lines)) >>"$WORK/logs/app.log"
    sleep "0.0$((round % 4))"
done
expect_billed $((rounds * lines))
expect_numbers 1 $((rounds * lines))
echo "$((rounds * lines)) lines over $((rounds - 1)) rotations ($how): each billed once, the account adds up"
