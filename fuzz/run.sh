#!/usr/bin/env bash
# Runs fuzz targets without cargo-fuzz: builds them with libFuzzer's instrumentation, then lets each run for some seconds.
#
#   fuzz/run.sh SECONDS [TARGET...]     all targets, unless some are named
#
# Inputs that were found stay in fuzz/corpus, what crashes in fuzz/artifacts. Needs a nightly toolchain and a C++ compiler.
set -euo pipefail

cd "$(dirname "$0")"
seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift

host=$(rustc +nightly -vV | sed -n 's/^host: //p')
# The flags that cargo-fuzz gives, but for the address sanitizer: the targets hold no unsafe code.
instrumentation=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    -Ccodegen-units=1
    --cfg fuzzing
)
# A target directory of its own: these flags would make everything else be built anew.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/fuzz
RUSTFLAGS="${instrumentation[*]}" cargo +nightly build --quiet --release --target "$host"

if (($# == 0)); then
    mapfile -t targets < <(sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"$|\1|p' Cargo.toml)
    set -- "${targets[@]}"
fi
for target in "$@"; do
    mkdir -p "corpus/$target" artifacts "seeds/$target"
    log=artifacts/$target.log
    "$CARGO_TARGET_DIR/$host/release/$target" "corpus/$target" "seeds/$target" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -max_len=4096 -artifact_prefix="artifacts/$target-" -print_final_stats=1 >"$log" 2>&1 || {
        tail -n 40 "$log"
        echo "fuzz $target: FAILED; the input is in fuzz/artifacts" >&2
        exit 1
    }
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "fuzz $target: $runs inputs in $seconds s, none did harm"
done
