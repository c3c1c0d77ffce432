#!/usr/bin/env bash
# Makes the Debian package: packaging/deb.sh [BINARY]
#
# Without BINARY it builds the one that is shipped (packaging/build.sh; some minutes). Needs cargo-deb and python3. The last
# line is the path of the package.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo-deb >/dev/null || {
    printf 'error: cargo-deb is not installed\nhint: cargo install cargo-deb\n' >&2
    exit 1
}
target="$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"
binary="${1:-}"
[[ -n "$binary" ]] || binary="$(packaging/build.sh)"

# cargo-deb takes what it packs from a target folder: this one is for nothing else.
stage="$target/package"
made="$stage/release/package"
rm -rf "$stage"
mkdir -p "$made/man" "$made/completions"
install -m 0755 "$binary" "$stage/release/floe"
"$binary" man --to "$made/man"
gzip --best --no-name "$made"/man/*.1
"$binary" completions bash >"$made/completions/floe"
"$binary" completions zsh >"$made/completions/_floe"
"$binary" completions fish >"$made/completions/floe.fish"
python3 packaging/bill_of_materials.py "$made"
CARGO_TARGET_DIR="$stage" cargo deb --no-build --locked --output "$target/debian/"
