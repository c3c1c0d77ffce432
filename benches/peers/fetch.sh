#!/usr/bin/env bash
# Unpacks Debian's syslog-ng and rsyslog under target/tmp/peers without installing them: Debian lets only one of
# them be installed. The benchmark looks there after the PATH. Needs apt-get and the lists of `apt-get update`.
set -euo pipefail
cd "$(dirname "$0")/../.."

peers="${CARGO_TARGET_DIR:-target}/tmp/peers"
mkdir -p "$peers/packages"
peers="$(realpath "$peers")"

(cd "$peers/packages" && apt-get download --quiet \
    syslog-ng-core syslog-ng-mod-http libivykis0 libnet1 libwrap0 libpcre3 \
    rsyslog libestr0 libfastjson4 liblognorm5)
for package in "$peers"/packages/*.deb; do
    dpkg-deb --extract "$package" "$peers"
done
echo "unpacked under $peers"
