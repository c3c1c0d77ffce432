#!/usr/bin/env bash
# Measures Floe beside `wc -l`, `rg -c` and plain loops over the same files, and prints Markdown.
# Arguments are passed on: benches/run.sh --lines 100000 --runs 3
set -euo pipefail
cd "$(dirname "$0")/.."

cargo bench --quiet --bench speed -- "$@"
