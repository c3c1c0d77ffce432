#!/usr/bin/env bash
# Prints the functions that a daemon runs, from its start to its rest: packaging/functions_run.sh BINARY (not stripped).
#
# valgrind sees a day in the life of a daemon: a start, logs of three formats to the stand-in for Polar, a reload, a question
# from outside, an end. The order is that of the binary. What is missing costs memory, and nothing else.
set -euo pipefail

floe="$(realpath "$1")"
work="$(mktemp -d "${TMPDIR:-/tmp}/floe-functions.XXXXXX")"
sandbox='' daemon=''
end() {
    [[ -z "$daemon" ]] || kill "$daemon" 2>/dev/null || true
    [[ -z "$sandbox" ]] || kill "$sandbox" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

give_up() {
    printf 'error: %s\nhint: what the daemon said is above\n' "$1" >&2
    cat "$work/said" >&2
    exit 1
}

# Waits until so many events are in the account.
delivered() {
    for _ in $(seq 1 600); do
        ! "$floe" account --config "$work/floe.toml" 2>/dev/null | grep -q "^events: $1 inserted" || return 0
        kill -0 "$daemon" 2>/dev/null || give_up "the daemon under valgrind has ended by itself"
        sleep 0.2
    done
    give_up "the daemon under valgrind did not deliver in two minutes"
}

mkdir "$work/logs"
now="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
web="$(LC_ALL=C date -u +%d/%b/%Y:%H:%M:%S) +0000"
lines() {
    local number
    for number in $(seq "$1" "$2"); do
        printf '{"event":"llm","org_id":"org_%d","ts":"%s","usage":{"tokens":%d},"cost":0.%d}\n' \
            "$number" "$now" "$number" "$number" >>"$work/logs/app.json"
        printf 'ts=%s msg="job %d" org=org_%d seconds=%d.5\n' "$now" "$number" "$number" "$number" >>"$work/logs/jobs.logfmt"
        printf '10.0.0.1 - org_%d [%s] "GET /v1/x/%d HTTP/1.1" 200 %d "-" "curl"\n' "$number" "$web" "$number" "$number" \
            >>"$work/logs/access.log"
    done
}
lines 1 300

"$floe" sandbox >"$work/sandbox" 2>/dev/null &
sandbox=$!
until grep -qs '^token' "$work/sandbox"; do sleep 0.1; done
cat >"$work/floe.toml" <<END
version = 1
state_dir = "$work/state"
instance = "functions"
[polar]
server = "$(head -n 1 "$work/sandbox")"
[[sources]]
id = "app"
include = ["$work/logs/*.json"]
format = "json"
[[sources]]
id = "jobs"
include = ["$work/logs/*.logfmt"]
format = "logfmt"
[[sources]]
id = "access"
include = ["$work/logs/*.log"]
format = "nginx-combined"
[[rules]]
id = "llm"
source = "app"
when = { event = "llm" }
[rules.event]
name = "llm"
external_customer_id = "{org_id}"
timestamp = "{ts}"
metadata.tokens = "{usage.tokens | int}"
metadata._cost = { amount = "{cost | decimal | mul('100') | round(12)}", currency = "usd" }
[[rules]]
id = "jobs"
source = "jobs"
[rules.event]
name = "job"
external_customer_id = "{org}"
timestamp = "{ts}"
metadata.seconds = "{seconds | decimal}"
[[rules]]
id = "requests"
source = "access"
when = { status = { lt = 500 } }
[rules.event]
name = "request"
external_customer_id = "{remote_user}"
timestamp = "{time_local | timestamp('%d/%b/%Y:%H:%M:%S %z')}"
metadata.bytes = "{body_bytes_sent | int}"
END

POLAR_ACCESS_TOKEN="$(sed -n 's/^token: //p' "$work/sandbox")" valgrind --tool=callgrind --demangle=no \
    --callgrind-out-file="$work/calls" "$floe" run --config "$work/floe.toml" >"$work/said" 2>&1 &
daemon=$!
delivered 900
# Until threads that had to do with the start have ended.
sleep 10
lines 301 310
kill -HUP "$daemon" || give_up "the daemon under valgrind has ended by itself"
"$floe" status --config "$work/floe.toml" >/dev/null || give_up "the daemon under valgrind does not answer"
delivered 930
kill "$daemon"
wait "$daemon" || give_up "the daemon under valgrind failed"
daemon=''
grep -q '^ *summary\|^totals' "$work/calls" || give_up "valgrind counted nothing"

# A name stands where its function is first mentioned, as one that runs or that is called.
sed -n "s/^c\?fn=([0-9]*) //p" "$work/calls" | sed "s/'[0-9]*\$//" | sort -u >"$work/called"
nm --numeric-sort "$floe" | awk 'NR == FNR { called[$1]; next } $2 ~ /[tTwW]/ && $3 in called { print $3 }' "$work/called" -
