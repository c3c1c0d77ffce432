#!/usr/bin/env bash
# 21, 27: the power goes under load, again and again: what was not synced is gone, of the logs and of Floe's state. What
# the application had synced is billed, what a writer with a socket heard to be durable is too, and nothing twice.
# FLOE_ROUNDS=100 for a long run.
set -euo pipefail
# What is mounted here nobody else sees.
[[ -n "${FLOE_UNSHARED:-}" || "$(id -u)" != 0 ]] || FLOE_UNSHARED=1 exec unshare --mount bash "$0" "$@"
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs_root
needs mkfs.ext4 xfs_io mount python3
rounds="${FLOE_ROUNDS:-5}"
disk="$WORK/disk"
STATE="$disk/state"
log="$disk/logs/app.log"
declare -A FIRST=([worker]=300000001)
truncate --size 256M "$WORK/image"
mkfs.ext4 -q "$WORK/image"
mount_here "$disk" -o loop "$WORK/image"
mkdir "$disk/logs"

# Where a log ends in the middle of a line, or in the zeros that a power cut leaves, the next line begins anew.
mend() { [[ ! -s "$log" || "$(tail -c 1 "$log" | od -An -tx1)" == *0a ]] || echo >>"$log"; }

# The application: it notes outside of the disk what it is about to write, and what it has synced.
application() {
    local from="$1" to
    mend
    while :; do
        to=$((from + 1 + RANDOM % 50))
        echo "$to" >>"$WORK/written"
        write_lines "$from" "$to" >>"$log" || return 0
        if ((RANDOM % 3 == 0)); then
            sync "$log" || return 0
            # What is synced while the disk goes may be gone, whatever the kernel says.
            [[ ! -e "$WORK/cut" ]] || return 0
            echo "$to" >>"$WORK/synced"
        fi
        # In a third of the rounds nothing is turned over.
        if ((round % 3 > 0 && RANDOM % 20 == 0)); then
            sync "$log" && mv "$log" "$log.$((++generation))" && sync "$disk/logs" || return 0
        fi
        from=$((to + 1))
        sleep 0.02
    done 2>/dev/null
}

# boot: what is started from now on sees a machine that has just booted; only of such a one a log's lost end is expected.
boot() {
    rm -f "$WORK/cut"
    cat /proc/sys/kernel/random/uuid >"$WORK/boot_id"
}
boot
mount --bind "$WORK/boot_id" /proc/sys/kernel/random/boot_id || not_run "cannot show Floe another boot"

start_sandbox
write_config "$disk/logs/app.log" "$NUMBERED$JOBS"
# The writer with the socket is on another machine, so to say: its power stays.
python3 "$(dirname "$0")/writer.py" "$WORK/worker.sock" "${FIRST[worker]}" 20 "$WORK" &
worker=$!
STARTED+=("$worker")
: >"$WORK/all-synced"
echo 0 >"$WORK/written"
for ((round = 1; round <= rounds; round++)); do
    first=$(($(tail -n 1 "$WORK/written") + 1))
    generation=$((round * 1000))
    : >"$WORK/synced"
    boot
    # By turns the daemon is there first, and the application. What is rotated before it has ever looked is not its to read.
    daemon_first=$((round == 1 || RANDOM % 2))
    ((daemon_first == 0)) || { run_floe; sleep "0.$((RANDOM % 10))"; }
    ((round > 1)) || expect_said 20 "floe runs"
    application "$first" &
    writer=$!
    STARTED+=("$writer")
    ((daemon_first == 1)) || { sleep "0.$((RANDOM % 10))"; run_floe; }
    sleep "$((1 + RANDOM % 2)).$((RANDOM % 10))"
    touch "$WORK/cut"
    xfs_io -x -c 'shutdown -f' "$disk" || not_run "this kernel cannot shut a file system down"
    kill_floe
    kill "$writer" 2>/dev/null || true
    wait "$writer" 2>/dev/null || true
    [[ ! -s "$WORK/synced" ]] || seq "$first" "$(tail -n 1 "$WORK/synced")" >>"$WORK/all-synced"
    wait_for 10 umount "$disk" 2>/dev/null || fail "the disk cannot be taken off"
    mount -o loop "$WORK/image" "$disk" || fail "the disk cannot be mounted again"
done
boot
run_floe
last=$(($(tail -n 1 "$WORK/written") + 1))
mend
write_lines "$last" "$last" >>"$log"
echo "$last" >>"$WORK/all-synced"
touch "$WORK/enough"
wait "$worker" || fail "the writer with the socket failed"
wanted worker
is_home() { [[ -z "$(comm -23 <(sort "$WORK/all-synced" "$WORK/wanted") <(billed_numbers | sort))" ]]; }
wait_for 40 is_home || { comm -23 <(sort "$WORK/all-synced" "$WORK/wanted") <(billed_numbers | sort) | head; fail "synced lines were not billed"; }
stop_floe
twice="$(billed_numbers | uniq --repeated | head)"
[[ -z "$twice" ]] || { echo "$twice"; fail "lines were billed twice"; }
of_socket="$(wc -l <"$WORK/wanted")"
(($(seq "$last" | cat - "$WORK/wanted" | sort | comm -13 - <(billed_numbers | sort) | wc -l) == 0)) || fail "lines were billed that nobody wrote"
# Lines that Floe had seen and the disk forgot are missed, and told; what is there adds up.
"$FLOE" account --json --config "$WORK/floe.toml" | tr -d ' \n' | grep -q '"adds_up":true' || fail "the account does not add up"
printf '%d power cuts; of %d lines written to a log %d synced, %d billed: each synced line once, none twice\n' \
    "$rounds" "$last" "$(wc -l <"$WORK/all-synced")" $(($(billed) - of_socket))
printf '%d lines acknowledged by the socket (%d sent again): each billed once\n' "$of_socket" "$(<"$WORK/sent-again.worker")"
