#!/usr/bin/env bash
# 18, 24, 27: a long run under load. Three logs are turned over in three ways, a writer has a socket, requests fail, Polar is
# silent for eight seconds of each minute, the config is read again: memory, descriptors and the state folder stay flat, the
# account is exact.
# FLOE_MINUTES=60 for a long run; FLOE_CSV=FILE keeps the samples, which plot.py draws.
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs logrotate awk python3
minutes="${FLOE_MINUTES:-2}"
csv="${FLOE_CSV:-$WORK/samples.csv}"
mkdir "$WORK/logs"
chmod 0755 "$WORK" "$WORK/logs"
declare -A HOW=([create]="create nocompress" [truncate]="copytruncate nocompress" [compress]="create compress delaycompress")
declare -A FIRST=([create]=1 [truncate]=100000001 [compress]=200000001 [worker]=300000001)

# An application writes some hundred lines a second, and its log is turned over each four seconds; the oldest go.
application() {
    local name="$1" from="${FIRST[$1]}" turned=$SECONDS log="$WORK/logs/$1.log"
    printf '%s {\n rotate 5\n%s\n missingok\n su root root\n}\n' "$log" "${HOW[$name]// /$'\n'}" >"$WORK/rotate.$name"
    chmod 0644 "$WORK/rotate.$name"
    until [[ -e "$WORK/enough" ]]; do
        write_lines "$from" $((from + 19)) >>"$log"
        from=$((from + 20))
        sleep 0.1
        if ((SECONDS - turned >= 4)); then
            turned=$SECONDS
            logrotate --force --state "$WORK/rotated.$name" "$WORK/rotate.$name" 2>"$WORK/said.$name" || return 1
        fi
    done
    echo $((from - FIRST[$name])) >"$WORK/wrote.$name"
}

# trouble SECOND: what happens then.
trouble() {
    case $(($1 % 60)) in
        20) kill -STOP "$SANDBOX" ;;
        28) kill -CONT "$SANDBOX" ;;
    esac
    (($1 % 300 != 45)) || kill -HUP "$DAEMON"
}

start_sandbox --fault 500:0.02,reset:0.02,lost-answer:0.02,slow:0.005
SANDBOX="${STARTED[-1]}"
start_floe "$WORK/logs/*.log" "$NUMBERED$JOBS"
wait_for 10 grep -qs '"app"' "$STATE/checkpoint.json" || fail "the first look did not come"
writers=()
for name in "${!HOW[@]}"; do
    application "$name" &
    writers+=("$!")
done
python3 "$(dirname "$0")/writer.py" "$WORK/worker.sock" "${FIRST[worker]}" 100 "$WORK" &
writers+=("$!")
STARTED+=("${writers[@]}")

echo "second,resident KiB,descriptors,state folder KiB,events" >"$csv"
begun=$SECONDS events=0 seen=0
for ((second = 0; second < minutes * 60; second++)); do
    trouble "$second"
    memory="$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$DAEMON/status")" || fail "the daemon has ended"
    descriptors="$(find "/proc/$DAEMON/fd" -mindepth 1 | wc -l)"
    # Files come and go meanwhile.
    state="$(du --summarize --block-size=1K "$STATE" 2>/dev/null | cut -f 1)" || true
    # Only what came since: the whole is large after an hour.
    size="$(stat --format %s "$WORK/events" 2>/dev/null || echo 0)"
    events=$((events + $(tail --bytes "+$((seen + 1))" "$WORK/events" | head --bytes $((size - seen)) | wc -l || true)))
    seen=$size
    echo "$((SECONDS - begun)),$memory,$descriptors,$state,$events" >>"$csv"
    while ((SECONDS - begun <= second)); do sleep 0.2; done
done
kill -CONT "$SANDBOX"
touch "$WORK/enough"
for writer in "${writers[@]}"; do
    wait "$writer" || fail "a writer failed"
done
wanted "${!FIRST[@]}"
expect_billed "$(wc -l <"$WORK/wanted")"
expect_wanted
# Until the oldest files are gone and closed, it grows: the first half is for that, what is left is halved.
awk -F, -v all="$((minutes * 60))" '
    NR > 1 && $1 > all / 2 { half = $1 > all * 0.75; count[half]++; for (i = 2; i <= 4; i++) sum[i, half] += $i }
    END {
        for (half = 0; half < 2; half++) for (i = 2; i <= 4; i++) mean[i, half] = sum[i, half] / count[half]
        printf "memory %d KiB, then %d KiB; ", mean[2, 0], mean[2, 1]
        printf "descriptors %.1f, then %.1f; state folder %d KiB, then %d KiB\n", mean[3, 0], mean[3, 1], mean[4, 0], mean[4, 1]
        # Parts of the spool are 8 MiB, and two of them may wait for a checkpoint.
        exit mean[2, 1] > mean[2, 0] * 1.1 + 1024 || mean[3, 1] > mean[3, 0] + 3 || mean[4, 1] > mean[4, 0] + 20480
    }' "$csv" || fail "memory, descriptors or the state folder grow"
echo "$(wc -l <"$WORK/wanted") lines in $minutes minutes of faults and rotation: each billed once, memory and descriptors flat"
