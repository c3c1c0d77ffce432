#!/usr/bin/env bash
# 18, 24: a long run under load, with rotation and faults: memory and descriptors stay flat, the account is exact.
# FLOE_MINUTES=60 for a long run; FLOE_CSV=FILE keeps the samples: second, memory in KiB, descriptors, lines billed.
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs logrotate awk
minutes="${FLOE_MINUTES:-2}"
csv="${FLOE_CSV:-$WORK/samples.csv}"
mkdir "$WORK/logs"
chmod 0755 "$WORK" "$WORK/logs"
log="$WORK/logs/app.log"
printf '%s {\n rotate 5\n create\n nocompress\n missingok\n su root root\n}\n' "$log" >"$WORK/rotate.conf"
chmod 0644 "$WORK/rotate.conf"

# The application writes some hundred lines a second, and its log is turned over each four seconds; the oldest go.
application() {
    local from=1 turned=$SECONDS
    until [[ -e "$WORK/enough" ]]; do
        write_lines "$from" $((from + 49)) >>"$log"
        from=$((from + 50))
        sleep 0.1
        if ((SECONDS - turned >= 4)); then
            turned=$SECONDS
            logrotate --force --state "$WORK/rotate.state" "$WORK/rotate.conf" 2>"$WORK/rotate.log" || return 1
        fi
    done
    echo $((from - 1)) >"$WORK/wrote"
}

start_sandbox --fault 500:0.02,reset:0.02,lost-answer:0.02,slow:0.005
start_floe "$log" "$NUMBERED"
wait_for 10 grep -qs '"app"' "$STATE/checkpoint.json" || fail "the first look did not come"
application &
writer=$!
STARTED+=("$writer")
for ((second = 0; second < minutes * 60; second++)); do
    memory="$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$DAEMON/status")" || fail "the daemon has ended"
    descriptors="$(find "/proc/$DAEMON/fd" -mindepth 1 | wc -l)"
    echo "$second,$memory,$descriptors,$(billed)"
    sleep 1
done >"$csv"
touch "$WORK/enough"
wait "$writer" || fail "the application failed"
expect_billed "$(<"$WORK/wrote")"
expect_numbers 1 "$(<"$WORK/wrote")"
# Until the oldest files are gone and closed, it grows: the first half is for that, what is left is halved.
awk -F, -v all="$((minutes * 60))" '
    NR > all / 2 { half = NR > all * 0.75; memory[half] += $2; descriptors[half] += $3; count[half]++ }
    END {
        for (half = 0; half < 2; half++) { memory[half] /= count[half]; descriptors[half] /= count[half] }
        printf "memory %d KiB, then %d KiB; descriptors %.1f, then %.1f\n", memory[0], memory[1], descriptors[0], descriptors[1]
        exit memory[1] > memory[0] * 1.1 + 1024 || descriptors[1] > descriptors[0] + 3
    }' "$csv" || fail "memory or descriptors grow"
echo "$(<"$WORK/wrote") lines in $minutes minutes of faults and rotation: each billed once, memory and descriptors flat"
