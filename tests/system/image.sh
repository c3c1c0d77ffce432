#!/usr/bin/env bash
# The image from scratch in real containers: read-only, not root, without capabilities; as the sidecar of an application that writes
# and exits; and as a node agent over what podman's k8s-file driver writes, with rotation.
#
# FLOE_STATIC names a static binary; else one is linked of what is built here.
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

repository="$(realpath "$(dirname "$0")/../..")"
needs_root
needs podman runc busybox file
busybox="$(command -v busybox)"
file -L "$busybox" | grep -q 'static' || not_run "busybox is not static (apt-get install busybox-static)"

static="${FLOE_STATIC:-}"
if [[ -z "$static" ]]; then
    static="$WORK/floe-static"
    target="$(cd "$repository" && cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"
    # It takes the place of the usual one for a moment.
    (cd "$repository" && cargo rustc --locked --bin floe -- -C target-feature=+crt-static && cp "$target/debug/floe" "$static" &&
        cargo build --locked --bin floe) >"$WORK/build.log" 2>&1 || { tail "$WORK/build.log"; fail "no static binary can be built"; }
fi

cat >"$WORK/containers.conf" <<'CONF'
[containers]
default_ulimits=["nofile=20000:20000","nproc=1000:1000"]
[engine]
cgroup_manager="cgroupfs"
events_logger="file"
CONF
cat >"$WORK/podman" <<SH
#!/bin/sh
CONTAINERS_CONF="$WORK/containers.conf" exec podman --root "$WORK/storage" --runroot "$WORK/run" --storage-driver vfs \\
    --cgroup-manager=cgroupfs --runtime runc --events-backend=file "\$@"
SH
chmod +x "$WORK/podman"
podman() { "$WORK/podman" "$@"; }
# Before the folder goes, so do its containers and mounts.
trap 'podman pod rm --all --force --time 1 >/dev/null 2>&1 || true; podman rm --all --force --time 1 >/dev/null 2>&1 || true; finish' EXIT

PODMAN="$WORK/podman" TAG=localhost/floe:test "$repository/packaging/image.sh" "$static" >"$WORK/image.log" 2>&1 ||
    { tail "$WORK/image.log"; fail "the image cannot be made"; }
mkdir -p "$WORK/application/bin"
cp "$busybox" "$WORK/application/bin/sh"
printf 'FROM scratch\nCOPY bin /bin\nENTRYPOINT ["/bin/sh", "-c"]\n' >"$WORK/application/Containerfile"
podman build --tag localhost/application:test "$WORK/application" >"$WORK/image.log" 2>&1 ||
    { tail "$WORK/image.log"; fail "the image of the application cannot be made"; }

confined=(--rm --network none --read-only --cap-drop all --security-opt no-new-privileges)
podman run "${confined[@]}" localhost/floe:test --version >"$WORK/version" || fail "it does not run read-only, without capabilities"
[[ "$(podman inspect --format '{{.Config.User}}' localhost/floe:test)" == 65532:65532 ]] || fail "it runs as root"
! podman run "${confined[@]}" --entrypoint /bin/sh localhost/floe:test -c true 2>/dev/null || fail "it has a shell"

# Time zones and authorities are inside.
mkdir -m 0777 "$WORK/zone"
cat >"$WORK/zone/floe.toml" <<'TOML'
version = 1
instance = "zone"
[[sources]]
id = "app"
include = ["/var/log/app/*.log"]
format = "json"
[[rules]]
id = "usage"
[rules.event]
name = "usage"
external_customer_id = "{customer}"
timestamp = "{ts | timestamp('%Y-%m-%d %H:%M', 'Europe/Berlin')}"
[[tests]]
source = "app"
line = '{"customer":"acme","ts":"2026-07-01 12:00"}'
expect = { rule = "usage", event = { name = "usage", external_customer_id = "acme", timestamp = "2026-07-01T10:00:00Z" } }
TOML
podman run "${confined[@]}" --volume "$WORK/zone:/etc/floe:ro" localhost/floe:test test >"$WORK/zone/said" 2>&1 ||
    { cat "$WORK/zone/said"; fail "it does not know Berlin's time"; }
podman run "${confined[@]}" --volume "$busybox:/busybox:ro" --entrypoint /busybox localhost/floe:test \
    grep -c BEGIN /etc/ssl/certs/ca-certificates.crt >"$WORK/authorities" || fail "it has no authorities"

start_sandbox
# pod_config FOLDER NAME: the config of a manifest, with the sandbox for Polar and a rule that is told its number.
pod_config() {
    mkdir -p "$1"
    sed -e "s|^server = .*|server = \"$URL\"|" -e 's|^\[limits\]|[delivery]\nrequests_per_minute = 6000\n\n&|' \
        -e 's|^metadata.units = .*|metadata.n = "{units \| int}"|' -e '/^\[\[tests\]\]/,$d' \
        "$repository/packaging/kubernetes/$2/floe.toml" >"$1/floe.toml"
    printf '%s\n' "$POLAR_ACCESS_TOKEN" >"$1/token"
    chmod -R a+rX "$1"
}

pod_config "$WORK/sidecar" sidecar
mkdir -m 0777 "$WORK/logs" "$WORK/sidecar-state"
# podman does not know native sidecars; here both are ordinary containers, and it is we who end Floe last.
cat >"$WORK/pod.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata:
  name: pod
spec:
  hostNetwork: true
  restartPolicy: Never
  terminationGracePeriodSeconds: 120
  containers:
    - name: floe
      image: localhost/floe:test
      imagePullPolicy: Never
      args: ["run", "--config", "/etc/floe/floe.toml"]
      env:
        - name: POD_UID
          value: 6f1c2f0e-8f61-4b0a-9a5e-2f5d3c1b7a90
      securityContext:
        runAsUser: 65532
        readOnlyRootFilesystem: true
        allowPrivilegeEscalation: false
        capabilities:
          drop: [ALL]
      volumeMounts:
        - { name: logs, mountPath: /var/log/app, readOnly: true }
        - { name: state, mountPath: /var/lib/floe }
        - { name: config, mountPath: /etc/floe, readOnly: true }
        - { name: config, mountPath: /run/secrets/floe, readOnly: true }
    - name: app
      image: localhost/application:test
      imagePullPolicy: Never
      args:
        - |
          n=0
          while [ \$n -lt 50 ]; do n=\$((n + 1)); echo "{\"event\":\"usage\",\"ts\":\"2025-01-15T10:15:32Z\",\"customer\":\"acme\",\"units\":\$n}"; done >/logs/app.log
      volumeMounts:
        - { name: logs, mountPath: /logs }
  volumes:
    - { name: logs, hostPath: { path: $WORK/logs } }
    - { name: state, hostPath: { path: $WORK/sidecar-state } }
    - { name: config, hostPath: { path: $WORK/sidecar } }
YAML
podman kube play "$WORK/pod.yaml" >"$WORK/play.log" 2>&1 || { tail "$WORK/play.log"; fail "podman does not play the pod"; }
podman wait pod-app >/dev/null
podman stop --time 60 pod-floe >/dev/null
if ! has_billed 50; then podman logs pod-floe | tail -n 20; fail "$(billed) of 50 lines of the pod were billed"; fi
expect_numbers 1 50
[[ "$(podman inspect --format '{{.State.ExitCode}}' pod-floe)" == 0 ]] || fail "Floe did not end well"

pod_config "$WORK/agent" node-agent
# This sandbox knows customers; the namespace is said by the path.
folder="$WORK/pods/shop_web-0_6f1c2f0e-8f61-4b0a-9a5e-2f5d3c1b7a90/web"
mkdir -p "$folder" "$WORK/agent-state"
podman run --detach --name agent --user 0 --network host --read-only --cap-drop all --security-opt no-new-privileges \
    --env NODE_NAME=node-1 --volume "$WORK/pods:/var/log/pods:ro" --volume "$WORK/agent-state:/var/lib/floe" \
    --volume "$WORK/agent:/etc/floe:ro" --volume "$WORK/agent:/run/secrets/floe:ro" \
    localhost/floe:test run --config /etc/floe/floe.toml >/dev/null
podman run --name writer --network none --log-driver k8s-file --log-opt "path=$folder/0.log" --log-opt max-size=10kb \
    localhost/application:test 'n=50; while [ $n -lt 350 ]; do n=$((n + 1)); echo "{\"event\":\"usage\",\"ts\":\"2025-01-15T10:15:32Z\",\"customer\":\"acme\",\"units\":$n}"; sleep 0.02; done' >/dev/null
size="$(stat --format=%s "$folder/0.log")"
((size < 11000)) || fail "the log was not rotated: $size bytes"
wait_for 30 has_billed 350 || { podman logs agent | tail -n 20; fail "$(billed) of 350 lines were billed"; }
podman stop --time 60 agent >/dev/null
expect_numbers 1 350
"$FLOE" account --state-dir "$WORK/agent-state" >"$WORK/account" || { cat "$WORK/account"; fail "the account does not add up"; }
grep -q '"namespace": *"shop"' "$WORK/events" || fail "the events do not say the namespace"

bytes="$(podman inspect --format '{{.Size}}' localhost/floe:test)"
echo "an image of $((bytes / 1000)) kB ($(stat --format=%s "$static") bytes of program as it was built), read-only, no capabilities, no shell:"
echo "50 lines of a pod and 300 of a container's log that was rotated by podman, each billed once"
