#!/usr/bin/env bash
# Sets up what the tests need and runs all of them. Nothing is skipped in silence: what a machine lacks
# is said at the end, and WINDLASS_TESTS_REQUIRE_ALL=1 (as CI sets it) makes that a failure.
set -uo pipefail
cd "$(dirname "$0")/.."

missing=()
passed=0
failed=0
declare -a failures=()

say() { printf '\n== %s\n' "$*"; }

# need COMMAND PACKAGE WHAT-FOR: a tool, installed from the system's package manager when that may be done.
need() {
    command -v "$1" >/dev/null 2>&1 && return 0
    if [ "$(id -u)" = 0 ]; then
        if command -v apt-get >/dev/null 2>&1; then
            { apt-get install -y -q "$2" || { apt-get update -q && apt-get install -y -q "$2"; }; } >/dev/null 2>&1
        elif command -v dnf >/dev/null 2>&1; then
            dnf install -y -q "$2" >/dev/null 2>&1
        elif command -v apk >/dev/null 2>&1; then
            apk add -q "$2" >/dev/null 2>&1
        fi
    fi
    command -v "$1" >/dev/null 2>&1 && return 0
    missing+=("$1 (package $2): $3")
    return 1
}

# part NAME COMMAND...: one part of the suite.
part() {
    local name=$1 start=$SECONDS
    shift
    say "$name"
    if "$@"; then
        passed=$((passed + 1))
        printf -- '-- %s passed in %s s\n' "$name" $((SECONDS - start))
    else
        failed=$((failed + 1))
        failures+=("$name")
        printf -- '-- %s FAILED after %s s: %s\n' "$name" $((SECONDS - start)) "$*"
    fi
}

need cc gcc "builds the bundled SQLite and the crypto of the hash chain" || true
need python3 python3 "the example trains in Python 3.9 or newer" || true
need strace strace "holds the sync against the answer" || true
need bwrap bubblewrap "runs are sealed with it" || true
need setpriv util-linux "shows root a file that it cannot read" || true
need systemd-analyze systemd "the commands of docs/operate.md are typed on machines with services" || true
need pgrep procps "there it is looked at what outlives a service" || true
need ssh openssh-client "a fleet is set up by hand" || true
need sshd openssh-server "the machines of that fleet" || true
need git git "the mutants are planted in a copy of the tracked files" || true

command -v cargo >/dev/null 2>&1 || { echo "cargo is not installed: see https://rustup.rs" >&2; exit 1; }
rustup component add rustfmt clippy >/dev/null 2>&1 || true

if cargo fmt --version >/dev/null 2>&1; then
    part "format" cargo fmt --all --check
else
    missing+=("cargo fmt (rustup component rustfmt): the format")
fi
if cargo clippy --version >/dev/null 2>&1; then
    part "lints" cargo clippy --workspace --all-targets --quiet -- -D warnings
else
    missing+=("cargo clippy (rustup component clippy): the lints")
fi

# The binary first: the cluster tests run it.
part "build" cargo build --quiet --bin windlass
part "unit, rules, simulator, tidy, command line, cluster" cargo test --workspace --quiet --no-fail-fast
part "mutants" bash tests/mutants/run.sh
part "a mutant for each rule" bash tests/mutants/rules.sh
if unshare --net --mount --pid --fork true 2>/dev/null && command -v systemd-analyze >/dev/null 2>&1; then
    part "operation" python3 tests/deploy/operate.py "${CARGO_TARGET_DIR:-target}/debug/windlass"
    part "a fleet by hand" python3 tests/deploy/ssh_fleet.py "${CARGO_TARGET_DIR:-target}/debug/windlass"
else
    missing+=("root, for namespaces: the commands of docs/operate.md are typed on machines of their own, and a fleet is set up by ssh")
fi
# The long mode fuzzes every target for a minute; the short one has replayed the committed seeds already.
if [ "${WINDLASS_TESTS_LONG:-0}" = 1 ]; then
    if command -v c++ >/dev/null 2>&1; then
        part "fuzzing" bash tests/fuzz/run.sh 60
    else
        missing+=("c++ (package g++): fuzzing, libFuzzer is built with it")
    fi
fi

say "summary"
for one in "${missing[@]+"${missing[@]}"}"; do
    printf 'not on this machine: %s\n' "$one"
done
for one in "${failures[@]+"${failures[@]}"}"; do
    printf 'failed: %s\n' "$one"
done
if [ "${WINDLASS_TESTS_REQUIRE_ALL:-0}" = 1 ] && [ ${#missing[@]} -gt 0 ]; then
    failed=$((failed + ${#missing[@]}))
fi
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
