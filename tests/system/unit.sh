#!/usr/bin/env bash
# The systemd unit, as systemd itself reads it. `verify` ends with 0 even for a key that it does not know, so
# what counts is that it has nothing to say.
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs systemd-analyze
unit="$(dirname "$0")/../../systemd/floe.service"

# The program stands elsewhere before it is installed; all else is the unit as it is.
sed "s|/usr/bin/floe|$FLOE|" "$unit" >"$WORK/floe.service"
systemd-analyze verify "$WORK/floe.service" 2>"$WORK/said" || true
[[ ! -s "$WORK/said" ]] || { cat "$WORK/said"; fail "systemd has something to say about the unit"; }

systemd-analyze security --offline=true --threshold=20 "$WORK/floe.service" >"$WORK/security" 2>&1 ||
    { tail -n 3 "$WORK/security"; fail "the unit is more exposed than 2.0"; }
echo "systemd has nothing to say about the unit; exposure $(grep -o '[0-9.]* OK' "$WORK/security" | tail -n 1)"
