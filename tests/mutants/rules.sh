#!/usr/bin/env bash
# Takes each rule of the protocol out, one at a time; the test that its patch names must notice.
# `tests/mutants/rules.sh [NAME…]` takes out only those whose file names contain one of the words.
#
# A patch here is p<NN>-<what goes wrong>.patch: a sentence, a line `test: BINARY TEST`, and the change as
# `git diff -U1` writes it. Every change stands behind `crate::planted("<its file name>")`, so that all of
# them are built once, together, in a copy of the tracked files, and each is chosen as the test starts.
set -uo pipefail
cd "$(dirname "$0")/../.."

rules=39
# Rules that have no patch yet, as `p07`: their code is not here yet.
without=()

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tree=$target/mutants-rules-tree
log=$target/mutants-rules.log
export CARGO_TARGET_DIR=$target RUST_BACKTRACE=0
# How long one test may take: the slowest takes some seconds, and what hangs is no finding.
most_s=120

rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp -p --parents -t "$tree" 2>/dev/null
patches=$(realpath tests/mutants)
cd "$tree" || exit 1
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

failures=0
fail() {
    printf '%s\n' "$*"
    failures=$((failures + 1))
}

if [ $# -eq 0 ]; then
    for rule in $(seq -f 'p%02g' 1 "$rules"); do
        case "$(compgen -G "$patches/$rule-*.patch" >/dev/null; echo $?) ${without[*]+"${without[*]}"} " in
        1*" $rule "* | 0*) ;;
        *) fail "$rule has no patch in tests/mutants" ;;
        esac
    done
fi

# The mutants, all at once; each crate gets the function that they ask.
for patch in "$patches"/p[0-9]*.patch; do
    name=$(basename "$patch" .patch)
    wanted "$name" "$@" || continue
    if ! git apply -C1 "$patch" 2>"$log"; then
        fail "$name DOES NOT APPLY: $(head -n 1 "$log")"
    elif ! grep -q "planted(\"$name\")" "$patch"; then
        fail "$name does not ask planted(\"$name\")"
    else
        sed -n 's|^+++ b/\([a-z]*\)/src/.*|\1|p' "$patch"
    fi
done >"$target/mutants-rules.crates"
grep -v '^[a-z]*$' "$target/mutants-rules.crates" && exit 1
for crate in $(sort -u "$target/mutants-rules.crates"); do
    cat >>"$crate/src/lib.rs" <<'RUST'

/// Whether this fault was chosen.
pub fn planted(name: &str) -> bool {
    std::env::var_os("WINDLASS_PLANTED").is_some_and(|chosen| chosen == name)
}
RUST
done

start=$SECONDS
# Built to be built fast; third-party crates are those of every other build.
build=(cargo test --workspace --no-run --lib --test rules --test processes)
for package in engine shared sim; do
    build+=(--config "profile.dev.package.windlass-$package.opt-level=0")
done
if ! "${build[@]}" >"$log" 2>&1; then
    grep -A 12 '^error' "$log" | head -n 40
    echo "the mutants do not build"
    exit 1
fi
sed -n 's/.*Executable .*(\(.*\))$/\1/p' "$log" >"$target/mutants-rules.binaries"
printf 'built in %s s\n' $((SECONDS - start))

# run PLANTED BINARY TEST: the line that the test ends with.
run() {
    local binary
    if ! binary=$(grep -m 1 "/$2-[0-9a-f]*$" "$target/mutants-rules.binaries"); then
        echo "no binary is called $2" >"$log"
        return 1
    fi
    WINDLASS_PLANTED=$1 timeout "$most_s" "$binary" --exact "$3" >"$log" 2>&1
    grep -m 1 -oE "^test $3 \.\.\. (ok|FAILED)" "$log" || grep -m 1 -oE '^test .* \.\.\. (ok|FAILED)' "$log"
}

planted=0
for patch in "$patches"/p[0-9]*.patch; do
    name=$(basename "$patch" .patch)
    wanted "$name" "$@" || continue
    planted=$((planted + 1))
    read -r binary test <<<"$(sed -n 's/^test: //p' "$patch" | head -n 1)"
    rule=p$((10#${name:1:2}))
    if [[ _$(basename "${test//:://}") != *_"${rule}"_* ]]; then
        fail "$name: its test $test does not name $rule"
    elif [[ $(run none "$binary" "$test") != *" ok" ]]; then
        fail "$name: $test of $binary does not pass without the fault"
        tail -n 5 "$log"
    elif [[ $(run "$name" "$binary" "$test") != *" FAILED" ]]; then
        fail "$name SURVIVED $test: $(head -n 1 "$patch")"
    else
        printf '%-44s found by %s\n' "$name" "${test##*::}"
    fi
done
printf '%s planted, %s faults, %s s\n' "$planted" "$failures" $((SECONDS - start))
[ "$failures" = 0 ] && [ "$planted" -gt 0 ]
