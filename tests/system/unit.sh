#!/usr/bin/env bash
# The systemd units, as systemd itself reads them. `verify` ends with 0 even for a key that it does not know, so
# what counts is that it has nothing to say.
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs systemd-analyze
unit="$(dirname "$0")/../../systemd/floe.service"

# Program and pages stand elsewhere before they are installed; all else is the unit as it is.
sed -e "s|/usr/bin/floe|$FLOE|" -e '/^Documentation=/d' "$unit" >"$WORK/floe.service"
grep -v '^Documentation=' "$(dirname "$unit")/floe.socket" >"$WORK/floe.socket"
systemd-analyze verify "$WORK/floe.service" "$WORK/floe.socket" 2>"$WORK/said" || true
[[ ! -s "$WORK/said" ]] || { cat "$WORK/said"; fail "systemd has something to say about the unit"; }

systemd-analyze security --offline=true --threshold=20 "$WORK/floe.service" >"$WORK/security" 2>&1 ||
    { tail -n 3 "$WORK/security"; fail "the unit is more exposed than 2.0"; }
echo "systemd has nothing to say about the unit; exposure $(grep -o '[0-9.]* OK' "$WORK/security" | tail -n 1)"
