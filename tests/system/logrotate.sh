#!/usr/bin/env bash
# Debian's logrotate turns the log over again and again, by `create` or by `copytruncate`, while Floe follows. With
# `compress` and `delaycompress` it runs gzip on what it rotated, and Floe dies now and then.
# Usage: logrotate.sh create|copytruncate|compress|delaycompress
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

how="${1:?create, copytruncate, compress or delaycompress}"
case "$how" in
    create | copytruncate) options="$how
    nocompress" ;;
    compress) options="create
    compress" ;;
    delaycompress) options="create
    compress
    delaycompress" ;;
    *) fail "no such way: $how" ;;
esac
needs logrotate
rounds=40
lines=200

mkdir "$WORK/logs"
cat >"$WORK/rotate.conf" <<CONF
$WORK/logs/app.log {
    rotate 50
    $options
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
is_down=no
for ((round = 1; round < rounds; round++)); do
    logrotate --force --state "$WORK/rotate.state" "$WORK/rotate.conf" 2>"$WORK/rotate.log" ||
        { cat "$WORK/rotate.log"; fail "logrotate failed"; }
    # A writer that opens the file once and appends, as a service does.
    write_lines $((round * lines + 1)) $(((round + 1) * lines)) >>"$WORK/logs/app.log"
    sleep "0.0$((round % 4))"
    [[ "$how" == *compress ]] || continue
    # Each fifth round it dies, and what it has not read is rotated and compressed before it is back.
    if [[ "$is_down" == yes ]]; then
        run_floe
        is_down=no
    elif ((round % 5 == 4)); then
        kill_floe
        is_down=yes
    fi
done
[[ "$is_down" == no ]] || run_floe
expect_billed $((rounds * lines))
expect_numbers 1 $((rounds * lines))
echo "$((rounds * lines)) lines over $((rounds - 1)) rotations ($how): each billed once, the account adds up"
