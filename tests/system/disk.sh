#!/usr/bin/env bash
# 22: the disk under the state folder is full, read-only, or fails to sync and to rename. Floe says so and goes on;
# when it is over, everything is billed once and the account is right.
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs_root
needs strace mount
mount_here "$STATE" -t tmpfs -o size=2m floe-state
mkdir "$WORK/logs"
log="$WORK/logs/app.log"
next=1
quarantined=0

# more COUNT: that many lines, and one that must go to the quarantine.
more() {
    write_lines "$next" $((next + $1 - 1)) >>"$log"
    next=$((next + $1))
    quarantined=$((quarantined + 1))
    echo '{"event":"usage","customer":"acme","n":' >>"$log"
}

# Lines come while the disk fails.
trouble() {
    more 100
    expect_said 20 "cannot save the checkpoint" "$((++troubles))"
    more 100
    sleep 0.5
}

# relief NAME: the disk is well again.
relief() {
    more 100
    wait_for 30 has_billed "$((next - 1))" || fail "$1: $(billed) of $((next - 1)) lines were billed"
    expect_said 20 "the checkpoint can be saved again" "$((++reliefs))"
    echo "$1: $((next - 1)) lines billed"
}
troubles=0 reliefs=0

start_sandbox
start_floe "$WORK/logs/app.log" "$NUMBERED"
more 100
wait_for 20 has_billed 100 || fail "the first lines were not billed"

dd if=/dev/zero of="$STATE/filler" bs=64k 2>/dev/null || true
trouble
rm "$STATE/filler"
relief "a full disk"

# A disk cannot be made read-only while a file on it is open for writing, so what the daemon meets is made.
for fault in EROFS:openat,open EIO:fsync,fdatasync EIO:rename,renameat,renameat2; do
    calls="${fault#*:}" error="${fault%%:*}"
    strace --follow-forks --quiet=all --output "$WORK/strace.log" --trace "$calls" --trace-path "$STATE/checkpoint.json.new" \
        --inject "$calls:error=$error" --attach "$DAEMON" 2>"$WORK/strace.said" &
    tracer=$!
    STARTED+=("$tracer")
    sleep 1
    kill -0 "$tracer" 2>/dev/null || not_run "strace cannot attach: $(head -n 1 "$WORK/strace.said")"
    trouble
    kill "$tracer"
    wait "$tracer" 2>/dev/null || true
    relief "$error from $calls"
done

stop_floe
mount -o remount,ro "$STATE"
run_floe
wait "$DAEMON" && fail "it starts on a state folder that it cannot write" || (($? == 73)) || fail "another exit code than 73"
grep -q "read-only" "$WORK/floe.log" || fail "it does not say that the file system is read-only"
mount -o remount,rw "$STATE"
run_floe
more 100
wait_for 20 has_billed "$((next - 1))" || fail "after a read-only disk: $(billed) of $((next - 1)) lines were billed"

# In the middle of it the daemon is killed, and the next one starts on what the disk has.
dd if=/dev/zero of="$STATE/filler" bs=64k 2>/dev/null || true
trouble
kill_floe
rm "$STATE/filler"
run_floe
more 100
expect_billed $((next - 1))
expect_numbers 1 $((next - 1))
letters="$(wc -l <"$STATE/quarantine/quarantine.jsonl")"
((letters >= quarantined)) || fail "$letters letters for $quarantined lines that cannot be billed"
in_account="$("$FLOE" account --json --config "$WORK/floe.toml" | tr -d ' \n' | sed 's/.*"invalid_json":{"lines":\([0-9]*\).*/\1/')"
((in_account == quarantined)) || fail "the account has $in_account lines in quarantine, not $quarantined"
echo "$((next - 1)) lines through a full, a read-only and a failing disk: each billed once, the account adds up"
