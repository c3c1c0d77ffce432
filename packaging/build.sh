#!/usr/bin/env bash
# Builds the program that is shipped: packaging/build.sh [--static]; PROFILE (dist) as a variable. The last line is its path.
#
# It links the same objects twice. A daemon at rest has run a fifth of its code, which lies scattered over nearly all of it,
# and Linux maps 64 KiB around each page that is touched. So functions_run.sh sees which functions those are, and the second
# link puts them side by side: that halves resident memory. It leaves out what nothing uses in a release: tables for unwinding,
# since a panic ends the process, and all but one of functions with the same code.
set -euo pipefail
cd "$(dirname "$0")/.."

profile="${PROFILE:-dist}"
flags=()
if [[ "${1:-}" == --static ]]; then
    # The flag stands on the last crate alone, so that nothing else is built in another way. The result is static-pie;
    # glibc 2.34 and newer resolve names from files and by DNS without loading anything.
    flags+=(-C target-feature=+crt-static)
fi
target="$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"
made="$target/shipped/$profile${1:-}"
mkdir -p "$made"

# The linker that comes with Rust, and is the usual one on x86-64 alone.
lld="$(rustc --print target-libdir)/../bin/gcc-ld/ld.lld"
twice=
if [[ "$(uname -m)" != x86_64 || ! -x "$lld" ]]; then
    echo "NOT LINKED AGAIN: Rust's own linker is needed, on x86-64; the program will be larger, and need more memory" >&2
elif ! command -v valgrind >/dev/null; then
    echo "NOT LINKED AGAIN: valgrind is not installed (apt-get install valgrind); the program will be larger, and need more memory" >&2
else
    twice=yes
    flags+=(-C strip=none -C "link-arg=-Wl,--reproduce=$made/link.tar")
    # What was linked is kept, since Cargo does not link again what is fresh.
    [[ -e "$made/link.tar" ]] || touch src/main.rs
fi

cargo rustc --locked --profile "$profile" --bin floe -- ${flags[@]+"${flags[@]}"} >&2
cp "$target/$profile/floe" "$made/floe"

# Relocations take a byte where they took 24, and glibc reads that from 2.36 on. The package says so (Cargo.toml).
packed=()
glibc="$(getconf GNU_LIBC_VERSION)"
if [[ "$(printf '%s\n2.36\n' "${glibc#glibc }" | sort -V | head -n 1)" == 2.36 ]]; then
    packed=(-z pack-relative-relocs)
fi
if [[ -n "$twice" ]]; then
    packaging/functions_run.sh "$made/floe" >"$made/functions"
    tar --extract --file "$made/link.tar" --directory "$made"
    find "$made/link" \( -name '*.rlib' -o -name '*.rcgu.o' \) -exec objcopy --remove-section=.eh_frame {} \;
    (cd "$made/link" && "$lld" @response.txt -o "$made/floe" --strip-all --icf=all ${packed[@]+"${packed[@]}"} \
        --symbol-ordering-file=../functions --no-warn-symbol-ordering)
    rm -r "$made/link"
    echo "linked again: $(wc -l <"$made/functions") functions that a daemon runs are side by side" >&2
fi
"$made/floe" --version >&2
echo "$made/floe"
