#!/usr/bin/env bash
# 20, 27: everything at once, and killed again and again. Debian's logrotate turns three busy logs over in three ways, nginx
# reopens its own, a writer has a socket, backfills read older files and the daemon's own, requests fail, Polar falls silent; daemon
# and backfills are killed at any moment. Everything is billed once. FLOE_ROUNDS=1000 for a long run.
#
# A writer is a function `write_NAME` that runs beside the kills until $WORK/enough exists, and leaves how many lines
# it wrote in $WORK/wrote.NAME, numbered from FIRST[NAME]. A further source is one more of them, in WRITERS.
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs logrotate nginx curl python3
rounds="${FLOE_ROUNDS:-30}"
declare -A FIRST=([create]=1 [truncate]=100000001 [compress]=200000001 [worker]=300000001 [nginx]=400000001 [older]=500000001)
WRITERS=(create truncate compress worker nginx)
chmod 0755 "$WORK"
mkdir "$WORK/logs" "$WORK/older"
script="$(dirname "$0")/writer.py"

# write_log NAME OPTIONS: an application that is told to reopen its log, as logrotate does it. Nothing is written while it
# copies and truncates, since logrotate would lose that; and no old file goes, however little a killed daemon has read.
write_log() {
    local name="$1" from="${FIRST[$1]}" to log="$WORK/logs/$1.log"
    printf '%s {\n rotate 100000\n%s\n missingok\n su root root\n}\n' "$log" "$2" >"$WORK/rotate.$name"
    chmod 0644 "$WORK/rotate.$name"
    until [[ -e "$WORK/enough" ]]; do
        to=$((from + RANDOM % 40))
        write_lines "$from" "$to" >>"$log"
        from=$((to + 1))
        sleep "0.0$((RANDOM % 6))"
        ((RANDOM % 40 > 0)) || logrotate --force --state "$WORK/rotated.$name" "$WORK/rotate.$name" 2>"$WORK/said.$name" || return 1
    done
    echo $((from - FIRST[$name])) >"$WORK/wrote.$name"
}
write_create() { write_log create $'create\nnocompress'; }
write_truncate() { write_log truncate $'copytruncate\nnocompress'; }
write_compress() { write_log compress $'create\ncompress'; }

write_worker() { python3 "$script" "$WORK/worker.sock" "${FIRST[worker]}" 20 "$WORK"; }

write_nginx() {
    local n="${FIRST[nginx]}" to rotation=0
    until [[ -e "$WORK/enough" ]]; do
        to=$((n + RANDOM % 20))
        curl --silent --show-error --output /dev/null --unix-socket "$WORK/nginx.sock" "http://localhost/?n=[$n-$to]" || return 1
        n=$((to + 1))
        sleep "0.0$((RANDOM % 6))"
        ((RANDOM % 20 > 0)) && continue
        rotation=$((rotation + 1))
        mv "$WORK/logs/access.log" "$WORK/logs/access.log.$rotation"
        kill -USR1 "$(<"$WORK/nginx.pid")"
        wait_for 20 test -e "$WORK/logs/access.log" || return 1
    done
    echo $((n - FIRST[nginx])) >"$WORK/wrote.nginx"
}

# older FILES LINES: logs from before Floe came, of which one is compressed.
older() {
    local file from="${FIRST[older]}"
    for ((file = 1; file <= $1; file++)); do
        write_lines "$from" $((from + $2 - 1)) >"$WORK/older/app.log.$file"
        from=$((from + $2))
    done
    gzip "$WORK/older/app.log.1"
    echo $((from - FIRST[older])) >"$WORK/wrote.older"
}

backfill() { exec "$FLOE" backfill --config "$WORK/floe.toml" "$@" >>"$WORK/backfill.log" 2>&1; }

# Backfills, by turns of the older files and of what the daemon reads as well; most of them are killed.
backfills() {
    local turn=0 process status within
    until [[ -e "$WORK/enough" ]]; do
        turn=$((turn + 1))
        if ((turn % 2 == 1)); then
            # Slow, so that it is killed in the middle.
            within="$((RANDOM % 3)).$((RANDOM % 10))"
            backfill --source app --requests-per-minute 60 "$WORK/older/*" &
        else
            # What logrotate has just begun to write is not over yet.
            within="0.$((RANDOM % 5))$((RANDOM % 10))"
            backfill --requests-per-minute 6000 "$WORK/logs/*.log.[2-9]" "$WORK/logs/*.log.[2-9].gz" &
        fi
        process=$!
        if ((RANDOM % 4 > 0)); then
            sleep "$within"
            kill -KILL "$process" 2>/dev/null || true
        fi
        status=0
        wait "$process" 2>/dev/null || status=$?
        echo "$((turn % 2)) $status" >>"$WORK/backfills"
        # 66: there is none of these files yet, or it was renamed before it was opened.
        case "$((turn % 2)) $status" in
            *" 0" | *" 137" | "0 66") ;;
            # It was renamed when it was open.
            "0 1") tail -n 1 "$WORK/backfill.log" | grep -q "^not read to its end" || return 1 ;;
            *) return 1 ;;
        esac
    done
}

cat >"$WORK/nginx.conf" <<CONF
daemon off;
pid $WORK/nginx.pid;
error_log $WORK/nginx.error;
events {}
http {
    log_format billing escape=json '{"ts":"\$time_iso8601","event":"usage","customer":"acme","n":\$arg_n}';
    access_log $WORK/logs/access.log billing;
    client_body_temp_path $WORK/body;
    proxy_temp_path $WORK/proxy;
    fastcgi_temp_path $WORK/fastcgi;
    uwsgi_temp_path $WORK/uwsgi;
    scgi_temp_path $WORK/scgi;
    server {
        listen unix:$WORK/nginx.sock;
        location / { return 200 "hello"; }
    }
}
CONF
nginx -c "$WORK/nginx.conf" -e "$WORK/nginx.error" &
STARTED+=("$!")
wait_for 10 test -S "$WORK/nginx.sock" || { cat "$WORK/nginx.error"; fail "nginx did not start"; }

start_sandbox --fault 500:0.03,reset:0.03,lost-answer:0.04
SANDBOX="${STARTED[-1]}"
older 10 500
write_config "$WORK/logs/*.log" "$NUMBERED$JOBS"
# Floe looks once before anything is turned over.
run_floe
wait_for 10 grep -qs '"app"' "$STATE/checkpoint.json" || fail "the first look did not come"
kill_floe

begun=$SECONDS
running=()
for writer in "${WRITERS[@]}"; do
    "write_$writer" &
    running+=("$!")
done
backfills &
running+=("$!")
STARTED+=("${running[@]}")
for ((round = 1; round <= rounds; round++)); do
    run_floe
    sleep "$((RANDOM % 8 == 0 ? 2 : 0)).$((RANDOM % 10))$((RANDOM % 10))"
    if ((RANDOM % 15 == 0)); then
        kill -STOP "$SANDBOX"
        sleep 0.5
    fi
    kill_floe
    kill -CONT "$SANDBOX"
    # Now and then it is away for a while.
    ((RANDOM % 10 > 0)) || sleep 1
done 2>/dev/null
lasted=$((SECONDS - begun)) ran="$(said "floe runs")"
touch "$WORK/enough"
# The writer with the socket waits for somebody who answers.
run_floe
for writer in "${running[@]}"; do
    wait "$writer" || { tail -n 20 "$WORK/backfill.log"; fail "a writer or a backfill failed"; }
done
(backfill --source app "$WORK/older/*") || { tail -n 20 "$WORK/backfill.log"; fail "the last backfill did not end well"; }

wanted "${!FIRST[@]}"
all="$(wc -l <"$WORK/wanted")"
wait_for 120 has_billed "$all" || fail "$(billed) of $all lines were billed"
# What a killed daemon had sent last is read again before the account knows it.
in_files=$(($(<"$WORK/wrote.create") + $(<"$WORK/wrote.truncate") + $(<"$WORK/wrote.compress") + $(<"$WORK/wrote.nginx")))
has_read_all() { "$FLOE" account --json --config "$WORK/floe.toml" | tr -d ' \n' | grep -q "\"app\":{\"read\":{\"lines\":$in_files,"; }
wait_for 60 has_read_all || fail "the account does not say that $in_files lines were read from files"
stop_floe
expect_wanted
"$FLOE" account --config "$WORK/floe.toml" >"$WORK/account" || { cat "$WORK/account"; fail "the account does not add up"; }
letters="$(find "$STATE" -path '*/quarantine/*.jsonl' -exec cat {} + | wc -l)"
((letters == 0)) || fail "$letters lines are in the quarantine"
killed="$(grep -c ' 137$' "$WORK/backfills" || true)"
resumed="$(grep -c 'goes on where it was interrupted' "$WORK/backfill.log" || true)"
printf '%d kills of the daemon in %d s, %d of them once it ran; %d backfills, of which %d were killed and %d resumed\n' \
    "$rounds" "$lasted" $((ran - 1)) "$(wc -l <"$WORK/backfills")" "$killed" "$resumed"
printf '%d lines in files, %d by the socket (%d sent again), %d of before: each billed once, the account adds up\n' \
    "$in_files" "$(<"$WORK/wrote.worker")" "$(<"$WORK/sent-again.worker")" "$(<"$WORK/wrote.older")"
