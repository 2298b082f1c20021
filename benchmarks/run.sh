#!/usr/bin/env bash
# Builds the release binary and measures what DESIGN's speed table asks for, beside the peers that are at
# hand, interleaved in one run: `bash benchmarks/run.sh [ROUNDS]`. Measuring takes about six minutes, the first
# build longer. HQ=/path/to/hq names HyperQueue's binary (its Python package carries none: build it from its
# public source elsewhere), BASE=/path/to/windlass an earlier binary to compare with. The table goes to standard
# output and into benchmarks/results.md. Work folders lie on the disk of BENCH_DIR (/var/tmp).
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo >/dev/null || { echo "cargo is not installed: see https://rustup.rs" >&2; exit 1; }
if ! command -v tsp >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get install -y -q task-spooler >&2 || true
fi
cargo build --quiet --release --bin windlass -p windlass-cli
cargo build --quiet --release -p windlass-load -p windlass-micro
placement="$(cargo bench --no-run --message-format=json -p windlass-micro --bench placement 2>/dev/null |
    python3 -c 'import json, sys
for line in sys.stdin:
    built = json.loads(line)
    if built.get("target", {}).get("name") == "placement":
        print(built.get("executable") or "", end="")')"
# Its own folder, with nothing beside it: what lies beside a work folder is looked at for each guarded run.
folder="$(mktemp -d -p "${BENCH_DIR:-/var/tmp}")"
trap 'rm -rf "$folder"' EXIT
export TMPDIR="$folder"
cc -O2 -static -o "$folder/noop" benchmarks/noop.c
target="${CARGO_TARGET_DIR:-target}/release"
python3 benchmarks/run.py --windlass "$target/windlass" --load "$target/windlass-load" --micro "$target/windlass-micro" \
    --placement "$placement" --noop "$folder/noop" --hq "${HQ:-}" --base "${BASE:-}" --rounds "${1:-5}" \
    --write benchmarks/results.md
