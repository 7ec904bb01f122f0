#!/usr/bin/env bash
# Runs every test: prerequisites, release binaries, target programs, cargo test.
#
# Arguments go to cargo test: `tests/run.sh -p rz-tests attach` runs the
# end-to-end tests of that name only. `tests/run.sh --all` runs the kernels as
# well that are left out otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

heading() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

heading "prerequisites"
tests/setup.sh

heading "release binaries"
./build.sh

heading "target programs"
make --silent -C tests/programs

heading "tests"
all=no
if [ "${1:-}" = --all ]; then
    all=yes
    shift
fi
if [ $# -eq 0 ]; then set -- --workspace; fi
# All that is wrong, and not the first of it.
cargo test --locked --no-fail-fast "$@"
if [ "$*" = --workspace ]; then
    # No part of the workspace: it is built without the standard library.
    cargo test --locked --manifest-path record/alloc-hook/Cargo.toml --target-dir target/hook
fi
if [ $all = yes ]; then
    cargo test --locked -p rz-tests --test kernels -- --ignored
fi

heading "tests passed"
