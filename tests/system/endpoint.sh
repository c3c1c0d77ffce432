#!/usr/bin/env bash
# 23: what stands between Floe and Polar, with real parts: nginx with TLS and a rate limit, certificates that are
# expired, of another name or of nobody, a proxy that goes away, a network that loses, resets and is cut.
# All of it in a network of its own.
set -euo pipefail
if [[ -z "${FLOE_OWN_NETWORK:-}" ]]; then
    unshare --net true 2>/dev/null || { echo "NOT RUN: no network namespaces here"; exit 77; }
    FLOE_OWN_NETWORK=1 exec unshare --net bash "$0" "$@"
fi
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs_root
needs nginx openssl tinyproxy iptables ip faketime
ip link set lo up
mkdir "$WORK/logs" "$WORK/tls"
# The workers of nginx are nobody.
chmod 0755 "$WORK"
log="$WORK/logs/app.log"
next=1 refusals=0

more() {
    write_lines "$next" $((next + $1 - 1)) >>"$log"
    next=$((next + $1))
}

# expect_home NAME: everything that was written is billed.
expect_home() {
    wait_for 40 has_billed "$((next - 1))" || fail "$1: $(billed) of $((next - 1)) lines were billed"
    echo "$1: $((next - 1)) lines billed"
}

# certificate NAME AUTHORITY HOST [COMMAND…]: a key and a certificate, made by a command that bends the clock.
certificate() {
    local name="$WORK/tls/$1" authority="$WORK/tls/$2"
    openssl req -newkey rsa:2048 -nodes -keyout "$name.key" -subj "/CN=$3" -out "$name.csr" 2>/dev/null
    printf 'subjectAltName=DNS:%s\n' "$3" >"$name.ext"
    "${@:4}" openssl x509 -req -in "$name.csr" -CA "$authority.pem" -CAkey "$authority.key" -CAcreateserial -days 30 \
        -extfile "$name.ext" -out "$name.pem" 2>/dev/null
}

for authority in authority stranger; do
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$WORK/tls/$authority.key" -subj "/CN=$authority" -days 3650 \
        -addext basicConstraints=critical,CA:TRUE -out "$WORK/tls/$authority.pem" 2>/dev/null
done
certificate good authority localhost
certificate expired authority localhost faketime "60 days ago"
certificate other-name authority elsewhere.example
certificate unknown stranger localhost

start_sandbox
cat >"$WORK/nginx.conf" <<CONF
daemon off;
pid $WORK/nginx.pid;
error_log $WORK/nginx.error;
events {}
http {
    access_log off;
    client_body_temp_path $WORK/body;
    proxy_temp_path $WORK/proxy;
    fastcgi_temp_path $WORK/fastcgi;
    uwsgi_temp_path $WORK/uwsgi;
    scgi_temp_path $WORK/scgi;
    keepalive_timeout 1;
    limit_req_zone \$binary_remote_addr zone=all:1m rate=5r/s;
    limit_req_status 429;
    server {
        listen 127.0.0.1:8443 ssl;
        ssl_certificate $WORK/tls/now.pem;
        ssl_certificate_key $WORK/tls/now.key;
        client_max_body_size 20k;
        location / {
            limit_req zone=all burst=2 nodelay;
            error_page 429 = @limited;
            proxy_pass $URL;
        }
        location @limited {
            add_header Retry-After 1 always;
            return 429;
        }
    }
}
CONF

# serve NAME: nginx with this certificate.
serve() {
    cp "$WORK/tls/$1.pem" "$WORK/tls/now.pem"
    cp "$WORK/tls/$1.key" "$WORK/tls/now.key"
    if [[ -n "${NGINX:-}" ]]; then
        kill "$NGINX"
        wait "$NGINX" 2>/dev/null || true
    fi
    nginx -c "$WORK/nginx.conf" -e "$WORK/nginx.error" &
    NGINX=$!
    STARTED+=("$NGINX")
    wait_for 10 grep -qs . "$WORK/nginx.pid" || { cat "$WORK/nginx.error"; fail "nginx did not start"; }
}

cat >"$WORK/tinyproxy.conf" <<CONF
Port 8888
Listen 127.0.0.1
Timeout 10
LogFile "$WORK/tinyproxy.log"
CONF

start_proxy() {
    tinyproxy -d -c "$WORK/tinyproxy.conf" >/dev/null 2>&1 &
    PROXY=$!
    STARTED+=("$PROXY")
}

URL="https://localhost:8443"
POLAR="ca_file = \"$WORK/tls/authority.pem\"
request_timeout = \"2s\""
DELIVERY="batch_max_events = 200"
serve good
more 3000
start_floe "$WORK/logs/app.log" "$NUMBERED"
expect_home "TLS, a limit of the rate, and of the body"
expect_said 5 "rate limit is met"

for bad in expired other-name unknown; do
    serve "$bad"
    more 100
    expect_said 30 "no secure connection" "$((++refusals))"
    (($(billed) == next - 101)) || fail "$bad: lines went to a server that is not ours"
    serve good
    expect_home "a certificate that is $bad"
done

# Through a proxy that is not there yet, comes, and goes away in between.
stop_floe
POLAR="$POLAR
proxy = \"http://127.0.0.1:8888\""
more 100
start_floe "$WORK/logs/app.log" "$NUMBERED"
sleep 1
start_proxy
expect_home "a proxy that comes"
kill "$PROXY"
wait "$PROXY" 2>/dev/null || true
more 100
sleep 1
start_proxy
expect_home "a proxy that goes away and comes back"

# The network: nginx stays well, what leads to it does not.
stop_floe
POLAR="${POLAR%$'\n'*}"
start_floe "$WORK/logs/app.log" "$NUMBERED"
for harm in "-m statistic --mode random --probability 0.2 -j DROP" "-j REJECT --reject-with tcp-reset" "-j DROP"; do
    # shellcheck disable=SC2086
    iptables --wait -A OUTPUT -p tcp --dport 8443 $harm 2>"$WORK/iptables" || not_run "iptables: $(head -n 1 "$WORK/iptables")"
    for ((batch = 0; batch < 4; batch++)); do
        more 100
        sleep 0.7
    done
    iptables --wait -F OUTPUT
    expect_home "a network with $harm"
done

more 100
expect_billed $((next - 1))
expect_numbers 1 $((next - 1))
echo "$((next - 1)) lines over TLS, through limits, bad certificates, a proxy and a bad network: each billed once"
