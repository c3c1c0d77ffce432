#!/usr/bin/env bash
# What the daemon tells of itself, as Prometheus and a browser see it: promtool reads /metrics in both formats and runs
# the tests of the alert rules; headless Chromium opens the page, narrow and wide, light and dark.
#
# FLOE_SHOTS names a folder for the pictures.
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs promtool curl python3
ADMIN_ANYWHERE='
[admin]
listen = "127.0.0.1:0"
'

start_sandbox
mkdir "$WORK/logs"
start_floe "$WORK/logs/*.log" "$NUMBERED$ADMIN_ANYWHERE"
expect_said 20 "the admin endpoint listens on http"
ADMIN="$(grep -o 'listens on http://[0-9.:]*' "$WORK/floe.log" | tail -n 1 | cut -d ' ' -f 3)"

line_of() { printf '{"event":"usage","customer":"c%s","n":%s,"ts":"2026-11-20T10:15:32Z"}\n' "$(($1 % 7))" "$1"; }
write_lines() {
    local number
    for number in $(seq "$1" "$2"); do line_of "$number"; done >>"$WORK/logs/app.log"
}
write_lines 1 150
printf '{"event":"usage","n":1,"ts":"2026-01-01T00:00:00Z"}\n{"event":"other"}\n' >>"$WORK/logs/app.log"
has_read() { curl --silent --fail "$ADMIN/metrics" | grep -qxF "floe_lines_total{source=\"app\",fate=\"$1\",reason=\"$2\"} $3"; }
wait_for 60 has_read billed "" 150 || fail "the metrics do not tell of 150 billed lines"
wait_for 60 has_read quarantined missing_customer 1 || fail "the metrics do not tell of the quarantined line"

echo "promtool reads what is told"
curl --silent --fail "$ADMIN/metrics" >"$WORK/metrics.txt"
promtool check metrics <"$WORK/metrics.txt" >"$WORK/promtool.log" 2>&1 || { cat "$WORK/promtool.log"; fail "promtool complains"; }
[[ ! -s "$WORK/promtool.log" ]] || { cat "$WORK/promtool.log"; fail "promtool has something to say"; }
curl --silent --fail --header 'Accept: application/openmetrics-text; version=1.0.0' "$ADMIN/metrics" >"$WORK/openmetrics.txt"
[[ "$(tail -n 1 "$WORK/openmetrics.txt")" == "# EOF" ]] || fail "OpenMetrics has no end"
# Prometheus' own reader of that format.
mkdir "$WORK/blocks"
sed 's/^\([^#].*\)$/\1 1700000000/' "$WORK/openmetrics.txt" >"$WORK/dated.txt"
promtool tsdb create-blocks-from openmetrics "$WORK/dated.txt" "$WORK/blocks" >"$WORK/blocks.log" 2>&1 ||
    { cat "$WORK/blocks.log"; fail "Prometheus cannot read OpenMetrics"; }

echo "the alert rules fire when they should"
promtool check rules packaging/prometheus/floe.rules.yml >"$WORK/rules.log" || { cat "$WORK/rules.log"; fail "the rules have a fault"; }
promtool test rules packaging/prometheus/floe.rules.test.yml >"$WORK/rules.log" 2>&1 || { cat "$WORK/rules.log"; fail "an alert is wrong"; }

if command -v chromium >/dev/null; then
    echo "the page in Chromium"
    write_lines 151 1234 &
    STARTED+=("$!")
    python3 tests/system/browser.py "$ADMIN/" "${FLOE_SHOTS:-$WORK}" "$WORK/logs/app.log" "$(line_of 1235)" "1,235 lines" "1,234 lines" missing_customer no_rule usage "1 line" || fail "the page"
else
    not_run "the page: chromium is not installed"
fi
stop_floe
