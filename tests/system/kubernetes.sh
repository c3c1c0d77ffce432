#!/usr/bin/env bash
# Every manifest, as kustomize makes it, against the types of Kubernetes' API; unknown fields are faults.
set -euo pipefail
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

needs kubectl python3
folder="$(realpath "$(dirname "$0")/../../packaging/kubernetes")"
validate="$CACHE/python/bin/kubernetes-validate"
if [[ ! -x "$validate" ]]; then
    mkdir -p "$CACHE"
    { python3 -m venv "$CACHE/python" && "$CACHE/python/bin/pip" install --quiet kubernetes-validate; } >"$WORK/pip.log" 2>&1 ||
        { tail -n 3 "$WORK/pip.log"; not_run "kubernetes-validate cannot be installed"; }
fi

count=0
for base in "$folder"/*/; do
    kubectl kustomize "$base" >"$WORK/made.yaml" || fail "kustomize does not make $base"
    "$validate" --strict "$WORK/made.yaml" >"$WORK/said" 2>&1 || { cat "$WORK/said"; fail "$base has faults"; }
    count=$((count + $(grep -c '^kind:' "$WORK/made.yaml")))
done
for file in "$folder"/*.yaml; do
    "$validate" --strict "$file" >"$WORK/said" 2>&1 || { cat "$WORK/said"; fail "$file has faults"; }
    count=$((count + 1))
done

# The validator is awake.
sed 's/restartPolicy: Always/restartPolice: Always/' "$folder/sidecar/deployment.yaml" >"$WORK/wrong.yaml"
! "$validate" --strict "$WORK/wrong.yaml" >/dev/null 2>&1 || fail "a field that does not exist is taken"
echo "$count resources are as the API has them"
