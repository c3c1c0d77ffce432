#!/usr/bin/env bash
# Builds the program that is shipped: packaging/build.sh [--static]; PROFILE (dist) as a variable. The last line is its path.
#
# It is built with a profile of a daemon's workday (workday.sh): what is run often is made fast, all else small. Then the same
# objects are linked again. A daemon at rest has run a fifth of its code, which lies scattered over nearly all of it, and Linux maps
# 64 KiB around each page that is touched. So functions_run.sh sees which functions those are, and the second link puts them side by
# side: that halves resident memory. It leaves out what nothing uses in a release: tables for unwinding, since a panic ends
# the process, and all but one of functions with the same code.
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
fi

# The tool that reads a profile is of the same LLVM as the compiler.
llvm="$(rustc --version --verbose | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')"
profdata=
for tool in "$(rustc --print target-libdir)/../bin/llvm-profdata" "llvm-profdata-$llvm" "/usr/lib/llvm-$llvm/bin/llvm-profdata"; do
    [[ -n "$profdata" ]] || profdata="$(command -v "$tool" || true)"
done
host="$(rustc --version --verbose | sed -n 's/^host: //p')"
# Flags are parted by a sign that stands in no path. What the environment says of them holds, and no configuration of Cargo.
part=$'\x1f'
own_flags="${CARGO_ENCODED_RUSTFLAGS:-}"
[[ -n "$own_flags" || -z "${RUSTFLAGS:-}" ]] || own_flags="$(xargs -n 1 <<<"$RUSTFLAGS" | paste --serial --delimiters "$part")"
if [[ -z "$profdata" ]] || ! command -v zstd >/dev/null; then
    echo "NOT PROFILED: llvm-profdata of LLVM $llvm or zstd is missing (rustup component add llvm-tools, or" \
        "apt-get install llvm-$llvm; apt-get install zstd); the program will be larger, and slower" >&2
else
    training="$target/training/$profile"
    counting="$training/$host/$profile/floe"
    # Built in the same way, or the counts would be of other functions.
    CARGO_ENCODED_RUSTFLAGS="${own_flags:+$own_flags$part}-Cprofile-generate=$training/counts" \
        cargo build --locked --profile "$profile" --target "$host" --target-dir "$training" --bin floe >&2
    # What the counts are of. Their file has its name of it, since Cargo builds anew what has other flags, not what has other counts.
    of="$(cat "$counting" packaging/workday.sh | sha256sum | cut -c 1-16)"
    if [[ ! -e "$training/$of.profdata" ]]; then
        rm -rf "$training/counts" "$training"/*.profdata
        LLVM_PROFILE_FILE="$training/counts/%p.profraw" packaging/workday.sh 50000 "$counting" "$counting"
        "$profdata" merge --output "$training/merged" "$training"/counts/*.profraw
        mv "$training/merged" "$training/$of.profdata"
    fi
    own_flags="${own_flags:+$own_flags$part}-Cprofile-use=$training/$of.profdata"
    # What is called often is put in place whatever its size; with the counts, only small things need be beside that.
    own_flags+="$part-Cllvm-args=-inline-threshold=50"
fi
export CARGO_ENCODED_RUSTFLAGS="$own_flags"

# What was linked is kept, since Cargo does not link again what is fresh: only of the last flags, though.
if [[ -n "$twice" && ! (-e "$made/link.tar" && "$(cat "$made/flags" 2>/dev/null)" == "$own_flags") ]]; then
    touch src/main.rs
fi
# With a target named, the flags are of the program alone, and not of what builds it.
cargo rustc --locked --profile "$profile" --target "$host" --bin floe -- ${flags[@]+"${flags[@]}"} >&2
cp --force "$target/$host/$profile/floe" "$made/floe"
printf '%s' "$own_flags" >"$made/flags"

if [[ -n "$twice" ]]; then
    packaging/functions_run.sh "$made/floe" >"$made/functions"
    tar --extract --file "$made/link.tar" --directory "$made"
    find "$made/link" \( -name '*.rlib' -o -name '*.rcgu.o' \) -exec objcopy --remove-section=.eh_frame {} \;
    (cd "$made/link" && "$lld" @response.txt -o "$made/floe" --strip-all --icf=all \
        --symbol-ordering-file=../functions --no-warn-symbol-ordering)
    rm -r "$made/link"
    echo "linked again: $(wc -l <"$made/functions") functions that a daemon runs are side by side" >&2
fi
"$made/floe" --version >&2
echo "$made/floe"
