#!/usr/bin/env bash
# systemd's own socket activation: the line that starts Floe is billed, and the socket outlives Floe.
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs systemd-socket-activate curl

socket="$WORK/worker.sock"
start_sandbox
cat >"$WORK/floe.toml" <<TOML
version = 1
state_dir = "$WORK/state"
instance = "system-test"

[polar]
server = "$URL"

[delivery]
batch_max_wait = "100ms"

[[sources]]
id = "worker"
socket = "$socket"
format = "regex"
pattern = '^GET /(?<customer>[a-z]+) '

[[rules]]
id = "call"
when = { customer = { exists = true } }

[rules.event]
name = "call"
external_customer_id = "{customer}"
TOML

systemd-socket-activate --listen="$socket" --setenv=POLAR_ACCESS_TOKEN \
    "$FLOE" run --config "$WORK/floe.toml" 2>"$WORK/floe.log" &
DAEMON=$!
STARTED+=("$DAEMON")
wait_for 10 test -S "$socket" || fail "systemd-socket-activate did not listen"

# curl speaks to the socket whatever answers; its request line is the line that is billed.
curl --silent --max-time 2 --unix-socket "$socket" http://localhost/acme || true
expect_billed 1
test -S "$socket" || fail "Floe has removed a socket that is systemd's"
echo "a socket that systemd passed on: its line is billed, and the socket is left there"
