#!/usr/bin/env bash
# Runs every test: prerequisites, target programs, cargo test.
#
#   tests/run.sh              all but a few kernels, versions of Java and Python, and tests
#                             that take long, of binaries that are built in haste, as
#                             quickstart.sh does
#   tests/run.sh --all        these as well, and of releases
#   tests/run.sh --unit       only what needs neither root, nor anything of the
#                             kernel, nor programs besides Rust's
#   tests/run.sh ARGUMENTS    cargo test with these: `--test e2e attach` runs the
#                             end-to-end tests of that name
set -euo pipefail
cd "$(dirname "$0")/.."

heading() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

# rec is linked as in releases.
export PATH=$PWD:$PATH RUSTC_WORKSPACE_WRAPPER=build-rec.sh

# All that is wrong is shown, and not the first of it.
failed=no
mkdir -p target
: >target/tests.log
run_tests() {
    cargo test --locked --no-fail-fast "$@" 2>&1 | tee --append target/tests.log || failed=yes
}

# What failed tests said, without where the test harness was.
what_failed() {
    awk '/^---- .* stdout ----$/ { of = 1; lines = 0 }
        /^stack backtrace:$|^(failures|successes):$|^test result:/ { of = 0 }
        of && ++lines <= 40' target/tests.log
}

# No part of the workspace: it is built without the standard library.
test_hook() { run_tests --manifest-path record/alloc-hook/Cargo.toml --target-dir target/hook; }

end() {
    if [ $failed = yes ]; then
        heading "tests failed"
        what_failed
        exit 1
    fi
    heading "tests passed"
    exit
}

if [ "${1:-}" = --unit ]; then
    heading "unit tests"
    ./build-tools.sh
    run_tests --workspace --exclude rz-tests
    test_hook
    end
fi

# What only tests need comes while the compiler works.
heading "prerequisites, target programs, binaries"
./build-tools.sh
prepare() {
    tests/setup.sh "${1:-}"
    make --silent --jobs="$(nproc)" -C tests/programs
    make --silent -C tests/kernels
}
prepare "${1:-}" >target/prepare.log 2>&1 &
preparing=$!
trap wait EXIT

# All of the workspace, always: of other sets of packages, some are built with other
# features, and all that uses them again.
cargo test --locked --workspace --no-run
heading "prerequisites and target programs (target/prepare.log)"
if ! wait $preparing; then
    cat target/prepare.log
    exit 1
fi
cat target/prepare.log
export RZ_BIN_DIR=$PWD/target/dist-tested
mkdir -p "$RZ_BIN_DIR"
install "${CARGO_TARGET_DIR:-target}"/debug/{rec,conv,report} "$RZ_BIN_DIR"
strip --strip-debug "$RZ_BIN_DIR"/{conv,report}
if [ "${1:-}" = --all ]; then
    ./build.sh
    export RZ_BIN_DIR=$PWD/target/dist RZ_ALL_VERSIONS=1
fi

heading "tests"
case "${1:-}" in
    "" | --all)
        run_tests --workspace
        test_hook
        if [ "${1:-}" = --all ]; then
            run_tests --workspace --test kernels --test e2e -- --ignored
            tests/reproducible.sh || failed=yes
        fi
        ;;
    *) run_tests --workspace "$@" ;;
esac

end
