#!/usr/bin/env bash
# Builds the release binary and measures what DESIGN's speed table asks for, beside the peers that are at
# hand, interleaved in one run: `bash benchmarks/run.sh [ROUNDS]`. HQ=/path/to/hq names HyperQueue's binary
# (its Python package carries none: build it from its public source elsewhere). The table goes to standard output.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo >/dev/null || { echo "cargo is not installed: see https://rustup.rs" >&2; exit 1; }
if ! command -v tsp >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get install -y -q task-spooler >&2 || true
fi
cargo build --quiet --release --bin windlass -p windlass-cli
cargo build --quiet --release -p windlass-load
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cc -O2 -static -o "$folder/noop" benchmarks/noop.c
exec python3 benchmarks/run.py --windlass "${CARGO_TARGET_DIR:-target}/release/windlass" \
    --load "${CARGO_TARGET_DIR:-target}/release/windlass-load" --noop "$folder/noop" \
    --hq "${HQ:-}" --rounds "${1:-5}"
