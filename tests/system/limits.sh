#!/usr/bin/env bash
# 16, 19, 24, 25: too few descriptors, no watches, no memory, a process that is frozen, a clock that jumps.
# Usage: limits.sh descriptors|watches|memory|frozen|clock
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

what="${1:?descriptors, watches, memory, frozen or clock}"
needs_root
mkdir "$WORK/logs"
log="$WORK/logs/app.log"
next=1

# more COUNT [FILE]
more() {
    write_lines "$next" $((next + $1 - 1)) >>"${2:-$log}"
    next=$((next + $1))
}

rotate() { mv "$log" "$log.$((++rotations))"; }
rotations=0

start_sandbox
write_config "$WORK/logs/*.log" "$NUMBERED"
more 100

descriptors() {
    needs prlimit
    run_floe
    wait_for 20 has_billed 100 || fail "the first lines were not billed"
    # Fewer than it has: nothing more can be opened, not even the checkpoint or a connection.
    prlimit --pid "$DAEMON" --nofile=8:
    more 100
    rotate
    more 100
    more 100 "$WORK/logs/new.log"
    sleep 3
    prlimit --pid "$DAEMON" --nofile=1024:
}

watches() {
    needs unshare
    unshare -Ur true 2>/dev/null || not_run "no user namespaces here"
    local limit
    for limit in max_inotify_watches max_inotify_instances; do
        # shellcheck disable=SC2016
        run_floe unshare -Ur sh -c "echo 0 >/proc/sys/user/$limit && exec \"\$@\"" sh
        expect_said 20 "cannot watch all folders" "$((++limited))"
        more 100
        rotate
        more 100
        wait_for 20 has_billed "$((next - 1))" || fail "$limit: $(billed) of $((next - 1)) lines were billed"
        stop_floe
    done
    run_floe
}
limited=0

memory() {
    local group=/sys/fs/cgroup/memory/floe-system-test-$$ round kills=0
    mkdir "$group" 2>/dev/null || not_run "no cgroup v1 with a memory controller"
    for ((round = 1; round <= 5; round++)); do
        echo -1 >"$group/memory.limit_in_bytes"
        # shellcheck disable=SC2016
        run_floe sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group"
        wait_for 20 has_billed "$((next - 1))" || fail "$(billed) of $((next - 1)) lines were billed"
        # From now on it may have no more than it has, and there is much to do.
        echo 0 >"$group/memory.force_empty" 2>/dev/null || true
        echo $(($(<"$group/memory.usage_in_bytes") + 65536)) >"$group/memory.limit_in_bytes" 2>/dev/null || true
        more 2000
        rotate
        more 2000
        sleep 0.5
        kill -0 "$DAEMON" 2>/dev/null || kills=$((kills + 1))
        kill_floe
    done
    # The group is empty only when the process is really gone.
    wait_for 5 rmdir "$group" 2>/dev/null || true
    ((kills > 0)) || not_run "the kernel kills nobody for want of memory"
    echo "killed $kills times for want of memory, in the middle of its work"
    run_floe
}

frozen() {
    local freezer=/sys/fs/cgroup/freezer/floe-system-test-$$
    run_floe
    wait_for 20 has_billed 100 || fail "the first lines were not billed"
    kill -STOP "$DAEMON"
    more 500
    rotate
    more 500
    rotate
    sleep 3
    more 500
    kill -CONT "$DAEMON"
    wait_for 20 has_billed "$((next - 1))" || fail "stopped: $(billed) of $((next - 1)) lines were billed"
    if mkdir "$freezer" 2>/dev/null; then
        echo "$DAEMON" >"$freezer/cgroup.procs"
        echo FROZEN >"$freezer/freezer.state"
        more 500
        rotate
        more 500
        sleep 3
        echo THAWED >"$freezer/freezer.state"
        echo "$DAEMON" >"${freezer%/*}/cgroup.procs"
        rmdir "$freezer"
    else
        echo "NOT RUN: no cgroup v1 with a freezer"
    fi
}

clock() {
    local library jump
    library="$(find /usr/lib -name libfaketimeMT.so.1 2>/dev/null | head -n 1)"
    [[ -n "$library" ]] || not_run "libfaketime is not installed"
    echo "+0" >"$WORK/clock"
    run_floe env LD_PRELOAD="$library" FAKETIME_TIMESTAMP_FILE="$WORK/clock" FAKETIME_NO_CACHE=1 \
        FAKETIME_DONT_FAKE_MONOTONIC=1
    wait_for 20 has_billed 100 || fail "the first lines were not billed"
    for jump in +1h -2h +365d -30d +0; do
        echo "$jump" >"$WORK/clock"
        more 100
        rotate
        more 100
        wait_for 20 has_billed "$((next - 1))" || fail "$jump: $(billed) of $((next - 1)) lines were billed"
    done
    expect_said 10 "clock"
}

"$what"
more 100
expect_billed $((next - 1))
expect_numbers 1 $((next - 1))
echo "$((next - 1)) lines ($what): each billed once, the account adds up"
