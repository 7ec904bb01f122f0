#!/usr/bin/env bash
# Runs every test: prerequisites, release binaries, target programs, cargo test.
#
#   tests/run.sh              all but a few kernels
#   tests/run.sh --all        these as well
#   tests/run.sh --unit       only what needs neither root, nor anything of the
#                             kernel, nor programs besides Rust's
#   tests/run.sh ARGUMENTS    cargo test with these: `-p rz-tests attach` runs the
#                             end-to-end tests of that name
set -euo pipefail
cd "$(dirname "$0")/.."

heading() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

# All that is wrong is shown, and not the first of it.
failed=no
run_tests() { cargo test --locked --no-fail-fast "$@" || failed=yes; }

end() {
    if [ $failed = yes ]; then
        heading "tests failed" >&2
        exit 1
    fi
    heading "tests passed"
    exit
}

# Everything but the end-to-end tests, which must not fight for the CPUs.
unit_tests() {
    RUST_TEST_THREADS=$(nproc) run_tests --workspace --exclude rz-tests
    # No part of the workspace: it is built without the standard library.
    run_tests --manifest-path record/alloc-hook/Cargo.toml --target-dir target/hook
}

if [ "${1:-}" = --unit ]; then
    heading "unit tests"
    ./build-tools.sh
    unit_tests
    end
fi

heading "prerequisites"
tests/setup.sh

heading "release binaries"
./build.sh

heading "target programs"
make --silent -C tests/programs

case "${1:-}" in
    "" | --all)
        heading "unit tests"
        unit_tests
        heading "end-to-end tests"
        run_tests -p rz-tests
        if [ "${1:-}" = --all ]; then run_tests -p rz-tests --test kernels -- --ignored; fi
        ;;
    *)
        heading "tests"
        run_tests "$@"
        ;;
esac

end
