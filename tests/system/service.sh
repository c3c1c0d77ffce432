#!/usr/bin/env bash
# The package in a real Debian: installed by apt, started by systemd, real nginx logs, reload, watchdog, drain, socket activation,
# an upgrade, removal and purge.
#
# FLOE_DEB names a package to test; else one is made of the binary that is here.
set -euo pipefail
# shellcheck source=tests/system/machine.sh
. "$(dirname "$0")/machine.sh"

repository="$(realpath "$(dirname "$0")/../..")"
needs dpkg-deb

deb="${FLOE_DEB:-}"
if [[ -z "$deb" ]]; then
    command -v cargo-deb >/dev/null || not_run "cargo-deb is not installed (cargo install cargo-deb)"
    deb="$("$repository/packaging/deb.sh" "$(realpath "$FLOE")" 2>"$WORK/deb.log" | tail -n 1)" ||
        { tail "$WORK/deb.log"; fail "the package cannot be made"; }
fi
boot
cp "$deb" "$MACHINE/floe.deb"
install -m 0755 "$FLOE" "$MACHINE/usr/local/bin/polar-sandbox"

install_deb() { inside apt-get install --yes --reinstall "$1" >"$WORK/apt.log" 2>&1 || { tail "$WORK/apt.log"; fail "apt does not install $1"; }; }

step() { printf -- '-- %s\n' "$*"; }

step "installed, and nothing is started before there is a token"
install_deb /floe.deb
[[ "$(property ActiveState)" == inactive ]] || fail "it was started before it was set up"
[[ "$(property UnitFileState)" == disabled ]] || fail "it was enabled before it was set up"
for file in usr/share/man/man1/floe-run.1.gz usr/share/bash-completion/completions/floe usr/share/doc/floe/THIRD-PARTY.txt etc/floe/floe.toml; do
    [[ -e "$MACHINE/$file" ]] || fail "the package has no $file"
done
grep -qx /etc/floe/floe.toml "$MACHINE/var/lib/dpkg/info/floe.conffiles" || fail "the config is no conffile"
inside man --pager=cat floe-run >"$WORK/man" 2>&1 || { cat "$WORK/man"; fail "there is no manual page"; }

# As installed, with its manual page and its documents in place.
inside systemd-analyze verify floe.service floe.socket >"$WORK/said" 2>&1 || true
[[ ! -s "$WORK/said" ]] || { cat "$WORK/said"; fail "systemd has something to say about the units"; }

step "a token, a config, real nginx; systemctl start returns when it is ready"
start_polar() {
    inside systemd-run --quiet --unit="polar-$1" --property=StandardOutput=file:/root/polar.out \
        /usr/local/bin/polar-sandbox sandbox --listen 127.0.0.1:8420 --store /root/events
    wait_for 20 grep -qs '^token: ' "$MACHINE/root/polar.out" || fail "the sandbox did not start"
}
start_polar 1
sed -n 's/^token: //p' "$MACHINE/root/polar.out" | put /etc/floe/token
inside chmod 0600 /etc/floe/token

write_machine_config() {
    put /etc/floe/floe.toml <<TOML
version = 1
instance = "machine"

[polar]
server = "http://127.0.0.1:8420"

[delivery]
batch_max_wait = "${1:-100ms}"
requests_per_minute = 6000

[[sources]]
id = "web"
include = ["/var/log/nginx/billing.log"]
format = "json"

[[sources]]
id = "worker"
socket = "$socket"
format = "regex"
pattern = '^GET /(?<customer>[a-z]+)-(?<n>[0-9]+) '

[[rules]]
id = "request"
source = "web"
when = { event = "request" }

[rules.event]
name = "api_request"
external_customer_id = "{customer}"
timestamp = "{ts}"
metadata.n = "{n | int}"

[[rules]]
id = "call"
source = "worker"
when = { customer = { exists = true } }

[rules.event]
name = "call"
external_customer_id = "{customer}"
metadata.n = "{n | int}"
${2:-}
TOML
}
put /etc/nginx/conf.d/billing.conf <<'CONF'
log_format billing escape=json
    '{"ts":"$time_iso8601","event":"request","customer":"$arg_customer","n":"$arg_n"}';
server {
    listen 127.0.0.1:8080;
    access_log /var/log/nginx/billing.log billing;
    location / { return 200 "hello"; }
}
CONF
# As Debian's logrotate leaves it: the group alone may read.
inside install -m 0640 -o www-data -g adm /dev/null /var/log/nginx/billing.log
inside systemctl restart nginx || fail "nginx does not start"
# Its own, until systemd's comes.
socket=/run/floe/worker.sock
write_machine_config
inside systemctl start floe || { inside journalctl --no-pager --unit=floe | tail -n 20; fail "it does not start"; }

request() { inside curl --silent --output /dev/null "http://127.0.0.1:8080/?customer=acme&n=$1"; }
EVENTS="$MACHINE/root/events"
machine_billed() { { grep -o '"n": *[0-9]*' "$EVENTS" || true; } 2>/dev/null | grep -o '[0-9]*$' | sort -n; }
has_machine_billed() { (($(machine_billed | wc -l) >= $1)); }
# expect_machine_billed COUNT: the numbers 1 to COUNT, each once.
expect_machine_billed() {
    wait_for 60 has_machine_billed "$1" || { inside journalctl --no-pager --unit=floe | tail -n 20; fail "$(machine_billed | wc -l) of $1 lines were billed"; }
    diff <(seq 1 "$1") <(machine_billed) || fail "not each of 1 to $1 once"
}

for n in $(seq 1 20); do request "$n"; done
expect_machine_billed 20
owner="$(stat --format=%U:%G:%a "$MACHINE/var/log/nginx/billing.log")"
[[ "$(inside stat --format=%U "/proc/$(property MainPID)")" != root ]] || fail "it runs as root"
[[ -d "$MACHINE/var/lib/private/floe" ]] || fail "its state is not where a dynamic user has it"
says_status() { [[ "$(property StatusText)" == *"$1"* ]]; }
wait_for 15 says_status "20 lines billed" || fail "its status is: $(property StatusText)"
echo "   status: $(property StatusText) (log of $owner)"

step "a command that writes, as the service's user"
inside curl --silent --output /dev/null "http://127.0.0.1:8080/?n=7"
as_floe() {
    inside systemd-run --pipe --wait --quiet -p User=floe -p DynamicUser=yes -p StateDirectory=floe -p SupplementaryGroups=adm \
        -p LoadCredential=polar-token:/etc/floe/token floe "$@"
}
wait_for 15 says_status "1 quarantined" || fail "its status is: $(property StatusText)"
as_floe quarantine discard --all --yes >"$WORK/discard" 2>&1 || { cat "$WORK/discard"; fail "the service's user cannot discard"; }
! inside find /var/lib/private/floe -user root | grep . || fail "root owns a part of the state: $(cat "$WORK/discard")"

exposure="$(inside systemd-analyze security floe.service --no-pager | grep -o 'floe.service: [0-9.]*' | grep -o '[0-9.]*$')"
awk -v exposure="$exposure" 'BEGIN { exit !(exposure != "" && exposure <= 2.0) }' || fail "its exposure is $exposure"

step "the journal has levels and fields"
inside journalctl --no-pager --unit=floe --output=json FLOE_CODE=file_found >"$WORK/journal"
grep -q '"PRIORITY":"6"' "$WORK/journal" || { cat "$WORK/journal"; fail "no entry has FLOE_CODE and a level"; }

step "reload: a new config is taken over, a bad one is refused aloud and changes nothing"
write_machine_config 200ms
inside systemctl reload floe || fail "a good config is refused"
has_code() { inside journalctl --no-pager --unit=floe --output=cat "FLOE_CODE=$1" | grep -q .; }
wait_for 10 has_code reloaded || fail "it did not take the config over"
before="$(property MainPID)"
inside sed -i 's/^version = 1/version = 7/' /etc/floe/floe.toml
! inside systemctl reload floe 2>/dev/null || fail "a bad config is taken"
[[ "$(property ActiveState)" == active && "$(property MainPID)" == "$before" ]] || fail "a bad config ended it"
inside sed -i 's/^version = 7/version = 1/' /etc/floe/floe.toml
request 21
expect_machine_billed 21

step "the watchdog ends a process that is frozen, and the next one loses nothing"
put /etc/systemd/system/floe.service.d/watchdog.conf <<'UNIT'
[Service]
WatchdogSec=5s
UNIT
inside systemctl daemon-reload
inside systemctl restart floe
has_restarted() { (($(property NRestarts) >= $1)) && [[ "$(property ActiveState)" == active ]]; }
sleep 6 # longer than the watchdog waits
(($(property NRestarts) == 0)) || fail "the watchdog bites a process that works"
inside kill -STOP "$(property MainPID)"
for n in $(seq 22 40); do request "$n"; done
wait_for 30 has_restarted 1 || fail "the watchdog does not bite: $(inside systemctl status --no-pager floe)"
expect_machine_billed 40

step "stop drains: what waits for a batch is sent"
write_machine_config 60s
inside systemctl reload floe
for n in $(seq 41 60); do request "$n"; done
inside systemctl stop floe || fail "it does not stop"
[[ "$(property Result)" == success ]] || fail "the stop was no success: $(property Result)"
expect_machine_billed 60
inside /usr/bin/floe account --state-dir /var/lib/private/floe >"$WORK/account" || { cat "$WORK/account"; fail "the account does not add up"; }

step "it starts while Polar is away"
inside systemctl stop polar-1
write_machine_config
inside systemctl start floe || fail "it does not start without Polar"
request 61
wait_for 30 says_status "held back" || fail "its status is: $(property StatusText)"
echo "   status: $(property StatusText)"
inside rm /root/polar.out
start_polar 2
# The sandbox makes up a token at each start: it is rotated under the unit, by a restart.
sed -n 's/^token: //p' "$MACHINE/root/polar.out" | put /etc/floe/token
inside systemctl restart floe
expect_machine_billed 61

step "socket activation: a line starts Floe, and the socket outlives it"
inside systemctl stop floe
socket=/run/floe.sock
write_machine_config
inside systemctl start floe.socket || fail "the socket unit does not start"
[[ "$(property ActiveState)" == inactive ]] || fail "Floe runs already"
inside curl --silent --max-time 2 --unix-socket /run/floe.sock http://localhost/acme-62 || true
expect_machine_billed 62
[[ "$(property ActiveState)" == active ]] || fail "the socket did not start Floe"
inside systemctl stop floe
inside test -S /run/floe.sock || fail "the socket is gone"
inside systemctl start floe

step "an upgrade goes on with the state"
dpkg-deb --raw-extract "$deb" "$WORK/next"
sed -i 's/^Version: .*/Version: 99.0-1/' "$WORK/next/DEBIAN/control"
dpkg-deb -Zgzip --root-owner-group --build "$WORK/next" "$MACHINE/next.deb" >/dev/null
before="$(property MainPID)"
# The operator's config stays: dpkg keeps what was changed.
install_deb /next.deb
[[ "$(property ActiveState)" == active ]] || fail "it does not run after the upgrade"
[[ "$(property MainPID)" != "$before" ]] || fail "the old program still runs"
grep -q 'instance = "machine"' "$MACHINE/etc/floe/floe.toml" || fail "the upgrade changed the config"
request 63
expect_machine_billed 63

step "removed: state and config stay; installed again, it goes on; purged: nothing is left"
inside apt-get remove --yes floe >"$WORK/apt.log" 2>&1 || fail "apt does not remove it"
[[ -d "$MACHINE/var/lib/private/floe" && -e "$MACHINE/etc/floe/floe.toml" ]] || fail "removing it lost state or config"
! inside pgrep -x floe >/dev/null || fail "it still runs"
request 64
install_deb /next.deb
inside systemctl start floe.socket floe
expect_machine_billed 64
inside apt-get purge --yes floe </dev/null >"$WORK/apt.log" 2>&1 || { tail "$WORK/apt.log"; fail "apt does not purge it"; }
left="$(inside find / -xdev -iname '*floe*' -not -path '/proc/*' -not -path '/tmp/*' -not -path '/var/log/*' -not -path '/var/cache/man/*' -not -name floe.deb \
    -not -path '/var/lib/systemd/*' -not -path '/sys/*' 2>/dev/null || true)"
[[ -z "$left" ]] || fail "purge left: $left"
power_off
echo "installed, started, reloaded, frozen, drained, activated, upgraded, removed and purged: 64 lines, each billed once"
