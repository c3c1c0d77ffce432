# What the system tests share: a folder of their own, a sandbox, a daemon, and waiting for what must come.
# shellcheck shell=bash
set -euo pipefail

FLOE="${FLOE:?give the path of the floe binary}"
WORK="$(mktemp -d)"
STARTED=()
# What was mounted here.
MOUNTED=()
# Further keys of [delivery] and of [polar], for `write_config`.
DELIVERY=""
POLAR=""
# What takes minutes to fetch is fetched once, and kept out of the repository.
# shellcheck disable=SC2034
CACHE="${FLOE_SYSTEM_CACHE:-$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")/target/system}"
# Where the daemon keeps its state.
STATE="$WORK/state"

finish() {
    local status=$?
    # Only what was started here, by its id, while it is ours: the id of one that has ended may be another's by now.
    # What was stopped or frozen goes on, to end.
    for pid in "${STARTED[@]}"; do
        grep -qs "^PPid:[[:space:]]*$$\$" "/proc/$pid/status" || continue
        kill "$pid" 2>/dev/null || true
        kill -CONT "$pid" 2>/dev/null || true
    done
    wait || true
    if ((status != 0 && status != 77)); then
        echo "--- the daemon's last words"
        tail -n 20 "$WORK/floe.log" 2>/dev/null || true
        echo "--- the account"
        "$FLOE" account --state-dir "$STATE" 2>&1 || true
    fi
    for folder in "${MOUNTED[@]}"; do
        umount "$folder" 2>/dev/null || umount --lazy "$folder" 2>/dev/null || true
    done
    # FLOE_KEEP=1 leaves what a failed run had, to look into.
    if ((status == 0 || status == 77)) || [[ -z "${FLOE_KEEP:-}" ]]; then
        rm -rf --one-file-system "$WORK"
    else
        echo "kept: $WORK"
    fi
}
trap finish EXIT

# not_run REASON: says aloud that a part of the machine is missing.
not_run() {
    printf 'NOT RUN: %s\n' "$1"
    exit 77
}

fail() {
    printf 'FAILED: %s\n' "$1"
    exit 1
}

needs() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null ||
            not_run "$program is not installed"
    done
    PATH="$PATH:/usr/sbin"
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
    local tries=$(($1 * 10))
    shift
    while ! "$@"; do
        ((tries-- > 0)) || return 1
        sleep 0.1
    done
}

needs_root() { [[ "$(id -u)" == 0 ]] || not_run "this needs root"; }

# mount_here FOLDER ARGUMENT…: mounts, and takes it off at the end.
mount_here() {
    mkdir -p "$1"
    mount "${@:2}" "$1" 2>"$WORK/mount.log" || not_run "cannot mount: $(head -n 1 "$WORK/mount.log")"
    MOUNTED=("$1" "${MOUNTED[@]}")
}

# Starts a sandbox that keeps its events in $WORK/events, with these further arguments; $URL and
# $POLAR_ACCESS_TOKEN lead to it.
start_sandbox() {
    "$FLOE" sandbox --store "$WORK/events" "$@" >"$WORK/sandbox.out" 2>"$WORK/sandbox.log" &
    STARTED+=("$!")
    wait_for 10 grep -qs '^token: ' "$WORK/sandbox.out" || fail "the sandbox did not start"
    URL="$(head -n 1 "$WORK/sandbox.out")"
    POLAR_ACCESS_TOKEN="$(sed -n 's/^token: //p' "$WORK/sandbox.out")"
    export POLAR_ACCESS_TOKEN
}

# write_config GLOB RULE: a config that bills what the rule (TOML) says.
write_config() {
    cat >"$WORK/floe.toml" <<TOML
version = 1
state_dir = "$STATE"
instance = "system-test"

[polar]
server = "$URL"
$POLAR

[delivery]
batch_max_wait = "100ms"
requests_per_minute = 60000
$DELIVERY

[[sources]]
id = "app"
include = ["$1"]
format = "json"

$2
TOML
    "$FLOE" check --config "$WORK/floe.toml" >"$WORK/check.log" 2>&1 || { cat "$WORK/check.log"; fail "the config has faults"; }
}

# run_floe [COMMAND…]: starts the daemon with the config that is there, behind a command that becomes it.
run_floe() {
    RAN="$(said "floe runs")"
    "$@" "$FLOE" run --config "$WORK/floe.toml" >>"$WORK/floe.log" 2>&1 &
    DAEMON=$!
    STARTED+=("$DAEMON")
}

# start_floe GLOB RULE: follows the files and bills what the rule (TOML) says.
start_floe() {
    write_config "$1" "$2"
    run_floe
}

kill_floe() {
    kill -KILL "$DAEMON" 2>/dev/null || true
    wait "$DAEMON" 2>/dev/null || true
}

# What it had to do may have been done before it came: a daemon that has not begun to run ends at once, by the signal.
stop_floe() {
    wait_for 20 has_said "floe runs" $((RAN + 1)) || fail "the daemon does not run"
    kill -TERM "$DAEMON"
    wait "$DAEMON" || fail "the daemon did not end well: $?"
}

# How often the daemons have said this.
said() {
    local times
    times="$(grep -c -- "$1" "$WORK/floe.log" 2>/dev/null || true)"
    echo "${times:-0}"
}

has_said() { (($(said "$1") >= ${2:-1})); }

# expect_said SECONDS WORDS [TIMES]
expect_said() { wait_for "$1" has_said "$2" "${3:-1}" || fail "the daemon did not say: $2"; }

billed() { wc -l <"$WORK/events" 2>/dev/null || echo 0; }

has_billed() { (($(billed) >= $1)); }

# expect_billed COUNT: exactly so many events, none twice, and an account that adds up after a drain.
expect_billed() {
    wait_for 60 has_billed "$1" || fail "$(billed) of $1 lines were billed"
    stop_floe
    (($(billed) == $1)) || fail "$(billed) events where $1 lines were written"
    "$FLOE" account --config "$WORK/floe.toml" >"$WORK/account" || { cat "$WORK/account"; fail "the account does not add up"; }
}

# The numbers that the events carry as metadata `n`, sorted; one that came twice stands there twice.
billed_numbers() { grep -o '"n": *[0-9]*' "$WORK/events" | grep -o '[0-9]*' | sort -n; }

# expect_numbers FROM TO: the events carry each of these numbers, each once.
expect_numbers() {
    diff <(seq "$1" "$2") <(billed_numbers) >"$WORK/difference" ||
        { grep "^[0-9]" "$WORK/difference" | head -n 20; fail "the numbers are not $1 to $2, each once"; }
}

# The rule that bills each numbered line of `write_lines`.
# shellcheck disable=SC2034
NUMBERED='
[[rules]]
id = "usage"
when = { event = "usage" }

[rules.event]
name = "usage"
external_customer_id = "{customer}"
timestamp = "{ts}"
metadata.n = "{n | int}"
'

# write_lines FROM TO: lines with these numbers, to stdout.
write_lines() {
    local n
    for ((n = $1; n <= $2; n++)); do
        printf '{"ts":"2025-01-15T10:15:32.%03dZ","event":"usage","customer":"acme","n":%d}\n' $((n % 1000)) "$n"
    done
}

# A source with a socket that acknowledges, for writer.py. Its lines may come twice, so they carry their own id.
# shellcheck disable=SC2034
JOBS="
[[sources]]
id = \"worker\"
socket = \"$WORK/worker.sock\"
ack = true
format = \"json\"

[[rules]]
id = \"job\"
source = \"worker\"
when = { event = \"job\" }

[rules.event]
name = \"job\"
external_customer_id = \"{customer}\"
external_id = \"job:{n}\"
timestamp = \"{ts}\"
metadata.n = \"{n | int}\"
"

# wanted WRITER…: $WORK/wanted has all numbers that these wrote: each from FIRST[NAME], as many as wrote.NAME says.
wanted() {
    local name
    for name in "$@"; do
        seq "${FIRST[$name]}" $((FIRST["$name"] + $(<"$WORK/wrote.$name") - 1))
    done | sort -n >"$WORK/wanted"
}

# The events carry the wanted numbers, each once.
expect_wanted() {
    diff "$WORK/wanted" <(billed_numbers) >"$WORK/difference" || { head -n 20 "$WORK/difference"; fail "not each line once"; }
}
