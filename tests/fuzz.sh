#!/usr/bin/env bash
# Gives damaged inputs to whatever reads bytes of others, for a minute each, or for as
# many seconds as are given. An input at which something fails is kept in target/fuzz/.
#
#     tests/fuzz.sh [SECONDS]
#     RZ_FUZZ_SEED=7 tests/fuzz.sh                         # other inputs
#     RZ_FUZZ_INPUT=$PWD/target/fuzz/NAME tests/fuzz.sh     # that one alone
set -euo pipefail
cd "$(dirname "$0")/.."

export RZ_FUZZ_SECONDS=${1:-60} RZ_FUZZ_KEEP=$PWD/target/fuzz
# What tests/run.sh has built is not built again.
export PATH=$PWD:$PATH RUSTC_WORKSPACE_WRAPPER=build-rec.sh
mkdir -p "$RZ_FUZZ_KEEP"
tests/setup.sh
make --silent --jobs="$(nproc)" -C tests/programs
# The crates whose readers are tried, one after the other, and what is printed.
cargo test --locked --no-fail-fast --workspace --lib --test fuzz -- fuzz_ --nocapture | grep -E "inputs? in|failed at|FAILED"
