#!/usr/bin/env bash
# Fails if the checked-in object is not what its sources give.
set -euo pipefail
cd "$(dirname "$0")"

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
cp ./*.c ./*.h Makefile "$fresh"
make --silent -C "$fresh"
if ! cmp rz.bpf.o "$fresh/rz.bpf.o"; then
    echo "compare.sh: rz.bpf.o is out of date: run \`make -B -C record/bpf\` and commit it" >&2
    exit 1
fi
