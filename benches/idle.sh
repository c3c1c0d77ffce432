#!/usr/bin/env bash
# What Floe costs while nothing happens: memory after the start and at its peak, threads, wake-ups and CPU, with one
# file and with many. The endpoint is `floe sandbox`. Nothing here fails by the clock; it prints Markdown.
#
#   benches/idle.sh                                # 1 and 10,000 files, a minute each
#   FLOE=target/dist/floe benches/idle.sh 1 100    # another binary, other numbers of files
#   SECONDS_IDLE=10 benches/idle.sh 1              # shorter
set -euo pipefail

floe=$(realpath "${FLOE:-$(dirname "$0")/../target/release/floe}")
seconds=${SECONDS_IDLE:-60}
counts=("$@")
[ ${#counts[@]} -gt 0 ] || counts=(1 10000)
work=$(mktemp -d "${TMPDIR:-/tmp}/floe-idle.XXXXXX")
sandbox='' daemon=''
end() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    [ -z "$sandbox" ] || kill "$sandbox" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

# Each file has a line of its own, and a second one, so that no two are taken for copies.
lines_of() {
    local number=$1
    printf '{"event":"llm.completion","org_id":"org_%d","ts":"%s","tokens":7}\n' "$number" "$now"
    printf '{"event":"other","org_id":"org_%d","ts":"%s"}\n' "$number" "$now"
}

config() {
    cat <<END
version = 1
state_dir = "$1/state"
instance = "idle"
[polar]
server = "$2"
[[sources]]
id = "app"
include = ["$1/logs/*.log"]
format = "json"
[[rules]]
id = "llm"
source = "app"
when = { event = "llm.completion" }
[rules.event]
name = "llm"
external_customer_id = "{org_id}"
timestamp = "{ts}"
metadata.tokens = "{tokens | int}"
END
}

# Ticks on a core, of all threads that there are or were; and how often one of those that are there was waked.
ticks() { sed 's/.*) //' /proc/"$1"/stat | awk '{ print $12 + $13 }'; }
wakes() { cat /proc/"$1"/task/*/status | awk '/^voluntary/ { sum += $2 } END { print sum }'; }
field() { awk -v name="$2:" '$1 == name { print $2 }' /proc/"$1"/status; }
mb() { awk -v kb="$1" 'BEGIN { printf "%.1f", kb / 1024 }'; }

# Waits until the checkpoint names every file, and until threads that had to do with the start have ended.
settle() {
    local folder=$1 files=$2 known=0
    for _ in $(seq 1 600); do
        known=$({ grep -o '"first_path"' "$folder"/state/*checkpoint* 2>/dev/null || true; } | wc -l)
        [ "$known" -lt "$files" ] || break
        kill -0 "$daemon" || { cat "$folder/log" >&2; exit 1; }
        sleep 0.1
    done
    sleep 15
}

one() {
    local files=$1 folder=$work/$1
    mkdir -p "$folder/logs"
    now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    for number in $(seq 1 "$files"); do
        lines_of "$number" >"$folder/logs/app-$number.log"
    done
    : >"$folder/sandbox"
    "$floe" sandbox >>"$folder/sandbox" 2>/dev/null &
    sandbox=$!
    until grep -q '^token' "$folder/sandbox"; do sleep 0.05; done
    config "$folder" "$(head -1 "$folder/sandbox")" >"$folder/floe.toml"
    POLAR_ACCESS_TOKEN=$(sed -n 's/^token: //p' "$folder/sandbox") \
        "$floe" run --config "$folder/floe.toml" >"$folder/log" 2>&1 &
    daemon=$!
    settle "$folder" "$files"
    local cpu waked
    cpu=$(ticks "$daemon") waked=$(wakes "$daemon")
    sleep "$seconds"
    cpu=$(($(ticks "$daemon") - cpu)) waked=$(($(wakes "$daemon") - waked))
    printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$files" "$(field "$daemon" Threads)" \
        "$(mb "$(field "$daemon" VmRSS)")" "$(mb "$(field "$daemon" RssAnon)")" "$(mb "$(field "$daemon" VmHWM)")" \
        "$(awk -v n="$waked" -v s="$seconds" 'BEGIN { printf "%.1f", n / s }')" \
        "$(awk -v n="$cpu" -v s="$seconds" -v hertz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f", 100 * n / s / hertz }')"
    kill "$daemon"
    wait "$daemon" || { cat "$folder/log" >&2; exit 1; }
    daemon=''
    kill "$sandbox"
    wait "$sandbox" 2>/dev/null || true
    sandbox=''
}

printf '%s, %s bytes; %s s each\n\n' "$("$floe" --version)" "$(stat -c %s "$floe")" "$seconds"
echo '| files | threads | RSS idle MB | of that anonymous | RSS peak MB | wake-ups a second | CPU % of a core |'
echo '|--:|--:|--:|--:|--:|--:|--:|'
for files in "${counts[@]}"; do
    one "$files"
done
