#!/usr/bin/env bash
# Everything that must pass: unit and property tests, the lab, and beside it what needs nothing but processors, which the lab leaves
# idle now and then: lint, fuzzing and the images.
# Needs root, Go, Rust and Python on Debian 12; the rest is installed. `make test` calls it.
set -euo pipefail

cd "$(dirname "$0")/.."
: "${CARGO_TARGET_DIR:?is set by the Makefile}"
fuzz_seconds=${FUZZ_SECONDS:-5}
started=$SECONDS

step() {
    printf '\n=== %s (at %d s)\n' "$1" $((SECONDS - started))
}

# By what nothing else wants of the processors, and without the lock of the build that the stories are started by.
beside() {
    CARGO_TARGET_DIR=$CARGO_TARGET_DIR/lint chrt --idle 0 make --no-print-directory lint
    printf '\nlint: passed; fuzzing\n'
    chrt --idle 0 fuzz/run.sh "$fuzz_seconds"
    chrt --idle 0 make --no-print-directory images
}

# The options that choose integration tests: the stories in the lab, or all others.
#   tests_of stories | others
tests_of() {
    cargo metadata --locked --no-deps --format-version 1 | /usr/bin/python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    if (package["name"] == "kuryr-e2e") == (sys.argv[1] == "stories"):
        for target in package["targets"]:
            if target["kind"] == ["test"]:
                print("--test=" + target["name"])
' "$1"
}

# Always of the whole workspace: cargo would build what some packages share once more for each other set of packages.
run_tests() {
    cargo test --locked --workspace "$@"
}

stories() {
    run_tests --no-fail-fast "$@" -- --test-threads=1
}

# The lab's pieces take minutes to build on a new machine, most of them waiting for one core: beside the Rust build.
step "install the lab"
log=$(mktemp)
lab/lab install >"$log" 2>&1 &
install=$!

step "build"
cargo build --locked --workspace --all-targets

step "the lab's pieces"
wait "$install" || { cat "$log"; exit 1; }
tail -n 3 "$log"
rm -f "$log"

step "tools"
make --no-print-directory tools

step "unit and property tests"
mapfile -t others < <(tests_of others)
run_tests --lib --bins "${others[@]}"
run_tests --doc

step "the lab itself"
/usr/bin/python3 -m unittest discover -s lab/tests -t lab
lab/tests/lifecycle

step "Kuryr in the lab"
log=$(mktemp)
(set -e; beside) >"$log" 2>&1 &
aside=$!
trap 'pkill --parent "$aside" || true; lab/lab kuryr down || true; lab/lab down || true' EXIT
lab/lab kuryr down
lab/lab down
lab/lab up
lab/lab kuryr up --bin "$CARGO_TARGET_DIR/debug"
# All cases of the truth table of policies take ten minutes: these are evenly from the whole list.
export KURYR_POLICY_CASES=${KURYR_POLICY_CASES:-60}
# `within_rights` asks what all others before it have used.
by_images=(--test={installation,regenerate,within_rights})
mapfile -t without_images < <(tests_of stories | grep -vxF -e "$(printf '%s\n' "${by_images[@]}")")
failed=()
stories "${without_images[@]}" || failed+=("stories")

step "lint, fuzz, images: beside the stories"
wait "$aside" || failed+=("lint, fuzz or images")
cat "$log"
rm -f "$log"

step "Kuryr in the lab, by its images"
stories "${by_images[@]}" || failed+=("stories of the installation")

step "the lab leaves nothing"
trap - EXIT
lab/lab kuryr down
lab/lab down
lab/lab check-clean
if ((${#failed[@]})); then
    printf '\nFAILED after %d s: %s\n' $((SECONDS - started)) "$(IFS=,; echo "${failed[*]}")"
    exit 1
fi
printf '\nall of it passed in %d s\n' $((SECONDS - started))
