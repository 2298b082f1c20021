#!/usr/bin/env bash
# Plants known faults, one at a time, in a copy of the tracked files; the simulator must find each.
# `tests/mutants/run.sh [NAME…]` plants only those whose file names contain one of the words.
# A patch that no longer applies fails too: make it anew with `git diff -U2` after the edit it describes,
# and keep its first line.
set -uo pipefail
cd "$(dirname "$0")/../.."

# Enough histories for every fault here (the rarest is first met by seed 1016); the control runs the same ones without any.
seeds=${WINDLASS_MUTANT_SEEDS:-1200}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tree=$target/mutants-tree
log=$target/mutants.log
export CARGO_TARGET_DIR=$target WINDLASS_SIM_SEEDS=$seeds RUST_BACKTRACE=0

# The same place every time, with the files' own times: what has not changed is not built again.
rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp -p --parents -t "$tree" 2>/dev/null
patches=$(realpath tests/mutants)
cd "$tree" || exit 1
# But for the files that are edited below: what an earlier call built last was a mutant.
sed -n 's|^+++ b/||p' "$patches"/[0-9]*.patch | sort -u | xargs touch
# Not a repository of its own: `git apply` must not look for one above.
export GIT_CEILING_DIRECTORIES=$target

# wanted NAME WORD…: whether no words are given, or one of them is in the name.
wanted() {
    local name=$1 word
    shift
    [ $# -eq 0 ] && return 0
    for word in "$@"; do
        [[ $name == *"$word"* ]] && return 0
    done
    return 1
}

suite() { cargo test --quiet --package windlass-sim --test suite -- every_invariant >"$log" 2>&1; }

start=$SECONDS
if ! suite; then
    tail -n 20 "$log"
    echo "the control fails: no mutant can be judged"
    exit 1
fi
printf 'control: %s histories hold, %s s\n' "$seeds" $((SECONDS - start))

survivors=0
planted=0
for patch in "$patches"/[0-9]*.patch; do
    name=$(basename "$patch" .patch)
    wanted "$name" "$@" || continue
    planted=$((planted + 1))
    start=$SECONDS
    if ! git apply -C1 "$patch" 2>"$log"; then
        printf '%-28s DOES NOT APPLY: %s\n' "$name" "$(head -n 1 "$log")"
        survivors=$((survivors + 1))
        continue
    fi
    if suite; then
        printf '%-28s SURVIVED %s histories: %s\n' "$name" "$seeds" "$(head -n 1 "$patch")"
        survivors=$((survivors + 1))
    elif found=$(grep -m 1 -o '^seed [0-9]*: [^:]*' "$log"); then
        printf '%-28s found by %s in %s s\n' "$name" "$found" $((SECONDS - start))
    else
        printf '%-28s FAILED WITHOUT A FINDING:\n' "$name"
        tail -n 20 "$log"
        survivors=$((survivors + 1))
    fi
    git apply -R -C1 "$patch"
done
printf '%s planted, %s not found\n' "$planted" "$survivors"
[ "$survivors" = 0 ] && [ "$planted" -gt 0 ]
