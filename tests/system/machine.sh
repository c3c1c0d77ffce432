# A real Debian with systemd as PID 1, in a container of systemd-nspawn: for the package and the unit.
# shellcheck shell=bash
# shellcheck source=tests/system/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

needs_root
needs debootstrap systemd-nspawn nsenter

MACHINE="$WORK/machine"
PACKAGES=systemd,systemd-sysv,dbus,procps,curl,nginx-light,ca-certificates,tzdata,init-system-helpers,man-db

# A tree with what the tests need, to be mounted under a layer of its own. It takes a minute and a half, and 400 MB.
make_tree() {
    local tree="$CACHE/bookworm"
    [[ -e "$tree.done" ]] && return
    mkdir -p "$CACHE"
    rm -rf --one-file-system "$tree"
    debootstrap --variant=minbase --include="$PACKAGES" bookworm "$tree" >"$CACHE/debootstrap.log" 2>&1 || {
        tail -n 3 "$CACHE/debootstrap.log"
        not_run "debootstrap cannot make a Debian here"
    }
    touch "$tree.done"
}

# Boots it; `inside` reaches it from then on.
boot() {
    make_tree
    mount_here "$WORK/layer" -t tmpfs tmpfs
    mkdir "$WORK/layer/upper" "$WORK/layer/work"
    mount_here "$MACHINE" -t overlay overlay -o "lowerdir=$CACHE/bookworm,upperdir=$WORK/layer/upper,workdir=$WORK/layer/work"
    systemd-nspawn --boot --directory="$MACHINE" --machine="floe-$$" --register=no --keep-unit --private-network \
        --console=pipe </dev/null >"$WORK/console" 2>&1 &
    NSPAWN=$!
    STARTED+=("$NSPAWN")
    wait_for 20 find_leader || { tail "$WORK/console"; not_run "systemd-nspawn does not start here"; }
    wait_for 60 is_booted || { tail "$WORK/console"; fail "the machine does not come up"; }
    inside ip link set lo up 2>/dev/null || true
}

# PID 1 of the machine, as it is called outside.
find_leader() {
    LEADER="$(cat "/proc/$NSPAWN/task/$NSPAWN/children" 2>/dev/null)"
    LEADER="${LEADER%% *}"
    [[ -n "$LEADER" ]]
}

# The first child of systemd-nspawn only prepares the second one, which is PID 1.
is_booted() { find_leader && [[ "$(inside systemctl is-system-running 2>/dev/null)" =~ ^(running|degraded)$ ]]; }

inside() { nsenter --target "$LEADER" --all -- env PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"; }

power_off() {
    inside systemctl poweroff 2>/dev/null || true
    wait "$NSPAWN" 2>/dev/null || true
}

# put PATH: writes stdin to a file of the machine.
put() {
    mkdir -p "$MACHINE/$(dirname "$1")"
    # Through the machine's own view: who writes below an overlay that is mounted is not always seen.
    inside tee "$1" >/dev/null
}

property() { inside systemctl show --property="$1" --value floe.service; }
