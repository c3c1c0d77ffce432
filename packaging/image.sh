#!/usr/bin/env bash
# Makes the image from scratch: packaging/image.sh [STATIC-BINARY]; TAG (floe:VERSION), PODMAN (podman) as variables.
#
# Without a binary it builds the static one that is shipped (packaging/build.sh; some minutes). Besides it the image has the
# time zones and the certificate authorities of this machine, and no more.
set -euo pipefail
cd "$(dirname "$0")/.."

target="$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
binary="${1:-}"
[[ -n "$binary" ]] || binary="$(packaging/build.sh --static)"
file -L "$binary" | grep -q 'static' || {
    printf 'error: %s is not static\nhint: packaging/build.sh --static\n' "$binary" >&2
    exit 1
}
for needed in /usr/share/zoneinfo/Europe/Berlin /etc/ssl/certs/ca-certificates.crt; do
    [[ -e "$needed" ]] || {
        printf 'error: %s is missing\nhint: apt-get install tzdata ca-certificates\n' "$needed" >&2
        exit 1
    }
done

root="$target/image"
rm -rf "$root"
mkdir -p "$root"/{etc/floe,etc/ssl/certs,usr/bin,usr/share/doc/floe,usr/share/zoneinfo,var/lib/floe,run/floe,tmp}
install -m 0755 "$binary" "$root/usr/bin/floe"
strip --strip-all "$root/usr/bin/floe"
install -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
# Not the second and the third copy of all zones.
tar --create --directory /usr/share/zoneinfo --exclude=./posix --exclude=./right --exclude='*.tab' --exclude='*.list' . |
    tar --extract --directory "$root/usr/share/zoneinfo"
printf 'floe:x:65532:65532:Floe:/var/lib/floe:/usr/sbin/nologin\n' >"$root/etc/passwd"
printf 'floe:x:65532:\n' >"$root/etc/group"
python3 packaging/bill_of_materials.py "$root/usr/share/doc/floe"
install -m 0644 LICENSE "$root/usr/share/doc/floe/"

"${PODMAN:-podman}" build --file packaging/Containerfile --tag "${TAG:-floe:$version}" \
    --label "org.opencontainers.image.version=$version" "$root"
