#!/usr/bin/env bash
# Measures Floe beside the loops that bound it and the programs that do the same, prints Markdown, draws the plots of
# docs/images, and rewrites the tables of docs/performance.md. benches/README.md says how to read it.
#
#   benches/run.sh                        all of it, about half an hour on an idle machine
#   benches/run.sh --profile dist         the same with the program that is shipped (packaging/build.sh)
#   benches/run.sh --quick                small logs and few rounds: minutes; the docs stay as they are
#   benches/run.sh --only latency,start   parts: compare shapes rules threads latency start memory linear backfill
#   benches/run.sh --huge                 10 GB, too
set -euo pipefail
cd "$(dirname "$0")/.."

profile=bench
arguments=()
while (($#)); do
    case "$1" in
        --profile) profile="${2:?--profile wants a name}"; shift 2 ;;
        *) arguments+=("$1"); shift ;;
    esac
done
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"

if [[ "$profile" == dist ]]; then
    shipped="$(packaging/build.sh)"
    arguments+=(--program "$shipped")
    profile=bench
fi

made="$CARGO_TARGET_DIR/tmp/speed"
rm -f "$made/charts.json"

status=0
cargo bench --quiet --profile "$profile" --bench speed -- ${arguments[@]+"${arguments[@]}"} || status=$?
[[ -e "$made/charts.json" ]] || exit "$status"

# Where the docs stay as they are, so do their pictures.
pictures="$(<"$made/where-pictures-go")"
mkdir -p "$pictures"
echo
cargo run --quiet --target-dir "$CARGO_TARGET_DIR/plots" --manifest-path benches/plots/Cargo.toml -- \
    "$made/charts.json" "$pictures"
exit "$status"
