#!/usr/bin/env bash
# nginx writes its access log as JSON, a client's raw bytes in it; its own way of rotation (rename, USR1).
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs nginx curl
requests=300

chmod 0755 "$WORK"
cat >"$WORK/nginx.conf" <<CONF
daemon off;
pid $WORK/nginx.pid;
error_log $WORK/nginx.error;
events {}
http {
    log_format billing escape=json
        '{"ts":"\$time_iso8601","event":"request","customer":"\$arg_customer","n":"\$arg_n",'
        '"status":\$status,"bytes":\$bytes_sent,"referer":"\$http_referer"}';
    access_log $WORK/access.log billing;
    client_body_temp_path $WORK/body;
    proxy_temp_path $WORK/proxy;
    fastcgi_temp_path $WORK/fastcgi;
    uwsgi_temp_path $WORK/uwsgi;
    scgi_temp_path $WORK/scgi;
    server {
        # A socket needs no free port.
        listen unix:$WORK/nginx.sock;
        location / { return 200 "hello"; }
    }
}
CONF

start_sandbox
start_floe "$WORK/access.log" '
[[rules]]
id = "request"
when = { event = "request", status = 200 }

[rules.event]
name = "api_request"
external_customer_id = "{customer}"
timestamp = "{ts}"
metadata.n = "{n | int}"
metadata.bytes = "{bytes | int}"
metadata.referer = "{referer}"
'
nginx -c "$WORK/nginx.conf" -e "$WORK/nginx.error" &
STARTED+=("$!")
wait_for 10 test -S "$WORK/nginx.sock" || { cat "$WORK/nginx.error"; fail "nginx did not start"; }

for ((n = 1; n <= requests; n++)); do
    curl --silent --show-error --output /dev/null --unix-socket "$WORK/nginx.sock" \
        --header "Referer: caf"$'\xe9'"/$n" "http://localhost/?customer=acme&n=$n"
    if ((n % 100 == 0)); then
        mv "$WORK/access.log" "$WORK/access.log.$((n / 100))"
        kill -USR1 "$(cat "$WORK/nginx.pid")"
        wait_for 5 test -e "$WORK/access.log" || fail "nginx did not open its log again"
    fi
done
expect_billed "$requests"
expect_numbers 1 "$requests"
echo "$requests requests to nginx, Latin-1 in each, over 3 rotations: each billed once, the account adds up"
