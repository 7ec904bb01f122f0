#!/usr/bin/env bash
# Runs the tests of kernels: each is booted in a virtual machine, where rec records
# everything that it can.
#
#   tests/kernels/run.sh [--all | KERNEL...]      KERNEL: 5.10, 6.1, 6.12, newest
#
# Without arguments 6.1 and 6.12 are tested. It takes one to two minutes for each.
set -euo pipefail
cd "$(dirname "$0")/../.."

heading() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

options=()
names=()
[ $# -eq 0 ] || options=(--include-ignored)
for kernel in "$@"; do
    case $kernel in
        --all) ;;
        5.10 | 6.1 | 6.12 | newest) names+=("linux_${kernel/./_}") ;;
        *) echo "run.sh: no kernel $kernel" >&2; exit 2 ;;
    esac
done
[ ${#names[@]} -eq 0 ] || options+=(--exact "${names[@]}")

heading "prerequisites"
tests/setup.sh

if [ -z "${RZ_BIN_DIR:-}" ] && [ ! -x target/dist/rec ]; then
    heading "release binaries"
    ./build.sh
fi

heading "target programs"
make --silent -C tests/programs

heading "tests"
cargo test --locked --workspace --test kernels -- --show-output "${options[@]}"
