#!/usr/bin/env bash
# A day in the life of a daemon: packaging/workday.sh LINES FLOE COMMAND..., where COMMAND runs FLOE under something or is FLOE.
#
# COMMAND is a backfill of compressed logs, then a daemon over logs of all formats, LINES of the most frequent, before the stand-in for
# Polar. It delivers, rests, takes up appended lines, a reload and a question from outside, and ends. What is seen of it says
# how the program is built (build.sh): what does not happen here costs time or memory there, and nothing else. Needs zstd.
set -euo pipefail

lines="$1" floe="$(realpath "$2")"
shift 2
work="$(mktemp -d "${TMPDIR:-/tmp}/floe-workday.XXXXXX")"
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
    head -n 40 "$work/said" >&2
    exit 1
}

# The same program for other ends, which are not what is looked at.
beside() { LLVM_PROFILE_FILE=/dev/null "$floe" "$@"; }

# Waits until so many events are in the account.
delivered() {
    local events=''
    for _ in $(seq 1 600); do
        # There is no account before the first checkpoint.
        events="$({ beside account --config "$work/floe.toml" 2>/dev/null || true; } | sed -n 's/^events: \([0-9,]*\) inserted.*/\1/p')"
        events="${events//,/}"
        [[ "$events" != "$1" ]] || return 0
        kill -0 "$daemon" 2>/dev/null || give_up "the daemon has ended by itself"
        sleep 0.5
    done
    give_up "the daemon delivered ${events:-nothing} of $1 events in five minutes"
}

# All that is logged is over.
when() { date -u --date='1 minute ago' "$@"; }

# What applications write: `usage FIRST LAST` is billed, `noise COUNT` is not.
usage() {
    awk -v first="$1" -v last="$2" -v now="$(when +%Y-%m-%dT%H:%M:%S)" 'BEGIN {
        for (at = first; at <= last; at++)
            printf "{\"ts\":\"%s.%03dZ\",\"level\":\"info\",\"event\":\"llm.completion\",\"org_id\":\"org_%d\",\"request_id\":\"req_%08x\"," \
                "\"model\":\"large-%d\",\"status\":200,\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}," \
                "\"cost_usd\":0.00%d,\"user_agent\":\"sdk\\/1.%d \\\"x64\\\"\",\"tags\":[\"a\",\"b\"],\"cached\":false,\"region\":\"eu-%d\"}\n",
                now, at % 1000, at % 97, at * 7919, at % 3, at % 900, at % 400, at % 900 + at % 400, at % 977, at % 9, at % 4
    }'
}
noise() {
    awk -v count="$1" -v now="$(when +%Y-%m-%dT%H:%M:%S)" 'BEGIN {
        split("http.request cache.miss job.started job.done db.query auth.login", names, " ")
        for (at = 1; at <= count; at++)
            printf "{\"ts\":\"%s.%03dZ\",\"level\":\"debug\",\"event\":\"%s\",\"org_id\":\"org_%d\",\"request_id\":\"req_%08x\"," \
                "\"path\":\"/v1/things/%d\",\"status\":%d,\"ms\":%d.%d,\"host\":\"web-%d\",\"message\":\"took %d of %d\"}\n",
                now, at % 1000, names[at % 6 + 1], at % 97, at * 7907, at, 200 + at % 4 * 100, at % 90, at % 10, at % 12, at, count
    }'
}

half=$((lines / 2)) quarter=$((lines / 4))
now="$(when +%Y-%m-%dT%H:%M:%SZ)"
web="$(LC_ALL=C when +%d/%b/%Y:%H:%M:%S) +0000"
mkdir "$work/logs"
usage 1 "$lines" >"$work/logs/app.json"
{ noise $((lines * 4)); usage 1 "$((quarter / 8))"; noise "$lines"; } >"$work/logs/service.json"
# Files are told apart by their first lines.
{ usage 2 "$quarter"; noise "$lines"; } | gzip >"$work/logs/app.json.1.gz"
{ usage 3 "$quarter"; noise "$lines"; } | zstd --quiet >"$work/logs/app.json.2.zst"
usage 1 "$quarter" | sed "s/^/$now stdout F /" >"$work/logs/pod.cri"
usage 1 "$quarter" | sed 's/[\\"]/\\&/g; s/.*/{"log":"&\\n","stream":"stdout","time":"'"$now"'"}/' >"$work/logs/pod.docker"
seq 1 "$half" | sed "s/.*/ts=$now level=info msg=\"job & done\" org=org_& seconds=&.5 queue=low/" >"$work/logs/jobs.logfmt"
seq 1 "$half" | sed "s|.*|10.0.0.1 - org_& [$web] \"GET /v1/x/& HTTP/1.1\" 200 & \"-\" \"curl/8.\\\\x22& (x64)\"|" >"$work/logs/access.log"
{ echo ts,org,units,note; seq 1 "$quarter" | sed "s/.*/$now,org_&,&,\"a \"\"b\"\", c\"/"; } >"$work/logs/units.csv"
seq 1 "$quarter" | sed "s/.*/$now org_& took & ms/" >"$work/logs/plain.txt"
events=$((lines + quarter / 8 + 4 * quarter + 2 * half))

LLVM_PROFILE_FILE=/dev/null "$floe" sandbox >"$work/sandbox" 2>"$work/said" &
sandbox=$!
until grep -qs '^token' "$work/sandbox"; do
    kill -0 "$sandbox" 2>/dev/null || give_up "the stand-in for Polar does not start"
    sleep 0.1
done
{
    cat <<END
version = 1
state_dir = "$work/state"
instance = "workday"
[polar]
server = "$(head -n 1 "$work/sandbox")"
[delivery]
requests_per_minute = 60000
[[sources]]
id = "app"
include = ["$work/logs/*.json"]
format = "json"
[[sources]]
id = "cri"
include = ["$work/logs/*.cri"]
format = "json"
container = "cri"
[[sources]]
id = "docker"
include = ["$work/logs/*.docker"]
format = "json"
container = "docker"
[[sources]]
id = "jobs"
include = ["$work/logs/*.logfmt"]
format = "logfmt"
[[sources]]
id = "access"
include = ["$work/logs/*.log"]
format = "nginx-combined"
[[sources]]
id = "units"
include = ["$work/logs/*.csv"]
format = "delimited"
header = "first_line"
[[sources]]
id = "plain"
include = ["$work/logs/*.txt"]
format = "regex"
pattern = '^(?<ts>\S+) (?<org>\S+) took (?<ms>\d+) ms\$'
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
metadata.agent = "{http_user_agent}"
[[rules]]
id = "units"
source = "units"
[rules.event]
name = "units"
external_customer_id = "{org}"
timestamp = "{ts}"
metadata.units = "{units | int}"
metadata.note = "{note}"
[[rules]]
id = "plain"
source = "plain"
[rules.event]
name = "took"
external_customer_id = "{org}"
timestamp = "{ts}"
metadata.ms = "{ms | int}"
[[rules]]
id = "llm"
source = ["app", "cri", "docker"]
when = { event = "llm.completion", status = { lt = 500 } }
[rules.event]
name = "llm"
external_customer_id = "{org_id}"
timestamp = "{ts}"
metadata.model = "{model}"
metadata.total_tokens = "{usage.total_tokens | int}"
metadata._llm = { vendor = "own", model = "{model}", input_tokens = "{usage.prompt_tokens | int}", output_tokens = "{usage.completion_tokens | int}", total_tokens = "{usage.total_tokens | int}" }
metadata._cost = { amount = "{cost_usd | decimal | mul('100') | round(12)}", currency = "usd" }
END
    # Many rules for one of the sources are looked for in another way than few.
    for noun in image video invoice parcel; do
        for verb in created rendered exported; do
            printf '[[rules]]\nid = "%s-%s"\nsource = "cri"\nwhen = { event = "%s.%s" }\n' $noun $verb $noun $verb
            printf '[rules.event]\nname = "%s"\nexternal_customer_id = "{org_id}"\n' $noun
        done
    done
} >"$work/floe.toml"

token="$(sed -n 's/^token: //p' "$work/sandbox")"
export POLAR_ACCESS_TOKEN="$token"

FLOE__STATE_DIR="$work/before" "$@" backfill --config "$work/floe.toml" "$work"/logs/app.json.*.* >"$work/said" 2>&1 ||
    give_up "the backfill failed"
"$@" run --config "$work/floe.toml" >"$work/said" 2>&1 &
daemon=$!
delivered "$events"
# Until threads that had to do with the start have ended.
sleep 10
usage 1 10 >>"$work/logs/app.json"
kill -HUP "$daemon" || give_up "the daemon has ended by itself"
beside status --config "$work/floe.toml" >/dev/null || give_up "the daemon does not answer"
delivered $((events + 10))
kill "$daemon"
wait "$daemon" || give_up "the daemon failed"
daemon=''
