#!/usr/bin/env bash
# 16: a file system that sends no events: what is written behind a FUSE mount is found by the sweep. Files are renamed
# through the mount: behind it, FUSE would show the old file's pages under the new file's name for a while.
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs_root
needs bindfs fusermount3
[[ -e /dev/fuse ]] || not_run "there is no /dev/fuse"
mkdir "$WORK/real" "$WORK/logs"
bindfs "$WORK/real" "$WORK/logs" 2>"$WORK/mount.log" || not_run "cannot mount: $(head -n 1 "$WORK/mount.log")"
MOUNTED=("$WORK/logs")

start_sandbox
start_floe "$WORK/logs/app.log" "$NUMBERED"
write_lines 1 100 >>"$WORK/real/app.log"
wait_for 20 has_billed 100 || fail "the first lines were not billed"
for ((round = 1; round <= 10; round++)); do
    mv "$WORK/logs/app.log" "$WORK/logs/app.log.$round"
    write_lines $((round * 100 + 1)) $((round * 100 + 100)) >>"$WORK/real/app.log"
    sleep 0.5
done
kill_floe
write_lines 1101 1200 >>"$WORK/real/app.log"
run_floe
expect_billed 1200
expect_numbers 1 1200
echo "1200 lines behind FUSE, over 10 rotations and a kill: each billed once, the account adds up"
