# What the system tests share: a folder of their own, a sandbox, a daemon, and waiting for what must come.
# shellcheck shell=bash
set -euo pipefail

FLOE="${FLOE:?give the path of the floe binary}"
WORK="$(mktemp -d)"
STARTED=()

finish() {
    local status=$?
    # Only what was started here, by its id.
    for pid in "${STARTED[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    wait || true
    if ((status != 0 && status != 77)); then
        echo "--- the daemon's last words"
        tail -n 20 "$WORK/floe.log" 2>/dev/null || true
        echo "--- the account"
        "$FLOE" account --state-dir "$WORK/state" 2>&1 || true
    fi
    rm -rf "$WORK"
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

# Starts a sandbox that keeps its events in $WORK/events; $URL and $POLAR_ACCESS_TOKEN lead to it.
start_sandbox() {
    "$FLOE" sandbox --store "$WORK/events" >"$WORK/sandbox.out" 2>"$WORK/sandbox.log" &
    STARTED+=("$!")
    wait_for 10 grep -qs '^token: ' "$WORK/sandbox.out" || fail "the sandbox did not start"
    URL="$(head -n 1 "$WORK/sandbox.out")"
    POLAR_ACCESS_TOKEN="$(sed -n 's/^token: //p' "$WORK/sandbox.out")"
    export POLAR_ACCESS_TOKEN
}

# start_floe GLOB RULE: follows the files and bills what the rule (TOML) says.
start_floe() {
    cat >"$WORK/floe.toml" <<TOML
version = 1
state_dir = "$WORK/state"
instance = "system-test"

[polar]
server = "$URL"

[delivery]
batch_max_wait = "100ms"
requests_per_minute = 60000

[[sources]]
id = "app"
include = ["$1"]
format = "json"

$2
TOML
    "$FLOE" check --config "$WORK/floe.toml" >"$WORK/check.log" 2>&1 || { cat "$WORK/check.log"; fail "the config has faults"; }
    run_floe
}

# Starts the daemon, or starts it again.
run_floe() {
    "$FLOE" run --config "$WORK/floe.toml" >>"$WORK/floe.log" 2>&1 &
    DAEMON=$!
    STARTED+=("$DAEMON")
}

# The daemon dies at once.
kill_floe() {
    kill -KILL "$DAEMON"
    wait "$DAEMON" 2>/dev/null || true
}

billed() { wc -l <"$WORK/events" 2>/dev/null || echo 0; }

has_billed() { (($(billed) >= $1)); }

# expect_billed COUNT: exactly so many events, none twice, and an account that adds up after a drain.
expect_billed() {
    wait_for 60 has_billed "$1" || fail "$(billed) of $1 lines were billed"
    kill -TERM "$DAEMON"
    wait "$DAEMON" || fail "the daemon did not end well"
    (($(billed) == $1)) || fail "$(billed) events where $1 lines were written"
    "$FLOE" account --config "$WORK/floe.toml" >"$WORK/account" || { cat "$WORK/account"; fail "the account does not add up"; }
}

# expect_numbers FROM TO: the events carry each of these numbers as metadata `n`, each once.
expect_numbers() {
    local found
    found="$(grep -o '"n": *[0-9]*' "$WORK/events" | grep -o '[0-9]*' | sort -n)"
    diff <(seq "$1" "$2") <(printf '%s\n' "$found") >"$WORK/difference" ||
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
