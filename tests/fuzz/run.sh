#!/usr/bin/env bash
# Fuzzes every target for SECONDS_EACH seconds (default 60), or the targets that are named:
#   bash tests/fuzz/run.sh [SECONDS_EACH [TARGET...]]
# New inputs that reach new code stay below fuzz/found; an input that fails is kept below fuzz/artifacts and
# named. The committed seeds are read and never written.
#
# Coverage needs no nightly compiler: it is an LLVM pass that the stable one has. AddressSanitizer would need
# one, and is left out: the product's own code is safe Rust.
set -uo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-60}
[ $# -gt 0 ] && shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(metric lines bindings lever paths patch ledger offsets review)

command -v cargo >/dev/null 2>&1 || { echo "cargo is not installed: see https://rustup.rs" >&2; exit 1; }
command -v c++ >/dev/null 2>&1 || { echo "a C++ compiler is missing: libFuzzer is built with one" >&2; exit 1; }

host=$(rustc -vV | sed -n 's/^host: //p')
out=${CARGO_TARGET_DIR:-target}/fuzz
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# The target is named, so that build scripts and macros are built without the coverage.
RUSTFLAGS="$flags" cargo build --quiet --locked --release --manifest-path fuzz/Cargo.toml \
    --target "$host" --target-dir "$out" || exit 1

# Inputs are small files in great number: where memory can hold them, no disk is worn.
if [ -z "${TMPDIR:-}" ] && [ -d /dev/shm ] && [ -w /dev/shm ]; then
    TMPDIR=$(mktemp -d /dev/shm/windlass-fuzz.XXXXXX)
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
fi

failed=()
for target in "${targets[@]}"; do
    mkdir -p "fuzz/found/$target" "fuzz/artifacts/$target"
    log="fuzz/artifacts/$target.log"
    # An input of more than 10 s is a failure, and so is one that takes more than 1 GiB.
    if "$out/$host/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -max_len=8192 -print_final_stats=1 -artifact_prefix="fuzz/artifacts/$target/" \
        "fuzz/found/$target" "fuzz/corpus/$target" >"$log" 2>&1; then
        printf '%s: %s inputs in %s s, nothing found\n' "$target" \
            "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$seconds"
    else
        failed+=("$target")
        printf '%s: FAILED\n' "$target"
        grep -E "panicked|assertion|ERROR|Test unit written" -A 3 "$log" | head -20
    fi
done
printf '%s targets, %s failed\n' "${#targets[@]}" "${#failed[@]}"
[ ${#failed[@]} = 0 ]
