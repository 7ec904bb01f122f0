#!/usr/bin/env bash
# Fails if the checked-in objects are not what their sources give.
set -euo pipefail
cd "$(dirname "$0")"

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
cp ./*.c ./*.h Makefile "$fresh"
for arch in */; do
    mkdir "$fresh/$arch"
    cp "$arch"*.h "$fresh/$arch"
    make --silent -C "$fresh" ARCH="${arch%/}"
    for object in "$arch"*.bpf.o; do
        if ! cmp "$object" "$fresh/$object"; then
            echo "compare.sh: $object is out of date: run \`make -B -C record/bpf ARCH=${arch%/}\` and commit it" >&2
            exit 1
        fi
    done
done
