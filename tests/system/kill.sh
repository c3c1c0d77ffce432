#!/usr/bin/env bash
# 20: killed again and again under load, while Debian's logrotate turns an application's log over and nginx reopens
# its own: everything is billed once. FLOE_ROUNDS=1000 for a long run.
#
# A writer is a function `write_NAME` that runs beside the kills until $WORK/enough exists, and leaves how many lines
# it wrote in $WORK/wrote.NAME, numbered from FIRST[NAME]. A further source is one more of them, in WRITERS.
# Usage: kill.sh [create|copytruncate]
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs logrotate nginx curl
how="${1:-create}"
rounds="${FLOE_ROUNDS:-30}"
declare -A FIRST=([application]=1 [nginx]=100000001)
WRITERS=(application nginx)
chmod 0755 "$WORK"
mkdir "$WORK/logs"

# An application that is told to reopen its log, as logrotate does it: nothing is written while it copies.
write_application() {
    local from="${FIRST[application]}" to log="$WORK/logs/app.log"
    printf '%s {\n rotate 10000\n %s\n nocompress\n missingok\n su root root\n}\n' "$log" "$how" >"$WORK/rotate.conf"
    chmod 0644 "$WORK/rotate.conf"
    until [[ -e "$WORK/enough" ]]; do
        to=$((from + RANDOM % 40))
        write_lines "$from" "$to" >>"$log"
        from=$((to + 1))
        sleep "0.0$((RANDOM % 6))"
        ((RANDOM % 20 > 0)) || logrotate --force --state "$WORK/rotate.state" "$WORK/rotate.conf" 2>"$WORK/rotate.log" || return 1
    done
    echo $((from - FIRST[application])) >"$WORK/wrote.application"
}

write_nginx() {
    local n="${FIRST[nginx]}" rotation=0
    until [[ -e "$WORK/enough" ]]; do
        curl --silent --show-error --output /dev/null --unix-socket "$WORK/nginx.sock" "http://localhost/?n=$n" || return 1
        n=$((n + 1))
        if ((RANDOM % 50 == 0)); then
            rotation=$((rotation + 1))
            mv "$WORK/logs/access.log" "$WORK/logs/access.log.$rotation"
            kill -USR1 "$(<"$WORK/nginx.pid")"
            wait_for 5 test -e "$WORK/logs/access.log" || return 1
        fi
    done
    echo $((n - FIRST[nginx])) >"$WORK/wrote.nginx"
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
write_config "$WORK/logs/*.log" "$NUMBERED"
# Floe looks once before anything is turned over.
run_floe
wait_for 10 grep -qs '"app"' "$STATE/checkpoint.json" || fail "the first look did not come"
kill_floe

running=()
for writer in "${WRITERS[@]}"; do
    "write_$writer" &
    running+=("$!")
    STARTED+=("$!")
done
for ((round = 1; round <= rounds; round++)); do
    run_floe
    sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
    kill_floe
    # Now and then it is away for a while.
    ((RANDOM % 10 > 0)) || sleep 1
done 2>/dev/null
touch "$WORK/enough"
for writer in "${running[@]}"; do
    wait "$writer" || fail "a writer failed"
done

all=0
for writer in "${WRITERS[@]}"; do
    wrote="$(<"$WORK/wrote.$writer")"
    seq "${FIRST[$writer]}" $((FIRST[$writer] + wrote - 1))
    all=$((all + wrote))
done >"$WORK/wanted"
all="$(wc -l <"$WORK/wanted")"
run_floe
wait_for 60 has_billed "$all" || fail "$(billed) of $all lines were billed"
# What a killed daemon had sent last is read again before the account knows it.
has_read_all() { "$FLOE" account --json --config "$WORK/floe.toml" | tr -d ' \n' | grep -q "\"app\":{\"read\":{\"lines\":$all,"; }
wait_for 30 has_read_all || fail "the account does not say that $all lines were read"
stop_floe
diff "$WORK/wanted" <(billed_numbers) >"$WORK/difference" || { head -n 20 "$WORK/difference"; fail "not each line once"; }
"$FLOE" account --config "$WORK/floe.toml" >"$WORK/account" || { cat "$WORK/account"; fail "the account does not add up"; }
echo "$rounds kills, $all lines ($how, and nginx): each billed once, the account adds up"
