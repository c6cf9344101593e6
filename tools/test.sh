#!/usr/bin/env bash
# Everything that must pass, in the order of its price: lint, unit and property tests, fuzzing, then the lab.
# Needs root, Go, Rust and Python on Debian 12; the rest is installed. `make test` calls it.
set -euo pipefail

cd "$(dirname "$0")/.."
: "${CARGO_TARGET_DIR:?is set by the Makefile}"
fuzz_seconds=${FUZZ_SECONDS:-5}
started=$SECONDS

step() {
    printf '\n=== %s (at %d s)\n' "$1" $((SECONDS - started))
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
cargo test --locked --workspace --exclude kuryr-e2e

step "lint"
make --no-print-directory lint

step "fuzz"
fuzz/run.sh "$fuzz_seconds"

step "images"
make --no-print-directory images

step "the lab itself"
/usr/bin/python3 -m unittest discover -s lab/tests -t lab
lab/tests/lifecycle

step "Kuryr in the lab"
trap 'lab/lab kuryr down || true; lab/lab down || true' EXIT
lab/lab kuryr down
lab/lab down
lab/lab up
lab/lab kuryr up --bin "$CARGO_TARGET_DIR/debug"
# All cases of the truth table of policies take ten minutes: these are evenly from the whole list.
export KURYR_POLICY_CASES=${KURYR_POLICY_CASES:-60}
cargo test --locked --no-fail-fast -p kuryr-e2e -- --test-threads=1

step "the lab leaves nothing"
trap - EXIT
lab/lab kuryr down
lab/lab down
lab/lab check-clean
printf '\nall of it passed in %d s\n' $((SECONDS - started))
