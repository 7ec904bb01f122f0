#!/usr/bin/env bash
# Builds rec, conv and report, optimized, into target/dist/.
#
#   build.sh           releases, each with what it is built from (sbom.sh)
#   build.sh --quick   for a first look, sooner, and into target/dist-quick/: only
#                      what records and decodes is optimized
#
# rec is linked statically, libc included (build-rec.sh), so that the one file
# can be copied to any Linux box of this architecture.
set -euo pipefail
cd "$(dirname "$0")"
case "${1:-}" in
    "") profile=release folder=release dist=target/dist ;;
    --quick) profile=dev folder=debug dist=target/dist-quick ;;
    *)
        echo "usage: build.sh [--quick]" >&2
        exit 2
        ;;
esac
./build-tools.sh

built=${CARGO_TARGET_DIR:-target}/$folder
mkdir -p $dist
# By its name alone: what cargo calls crates by depends on it, and must not on the folder.
PATH=$PWD:$PATH RUSTC_WORKSPACE_WRAPPER=build-rec.sh \
    cargo build --locked --profile $profile -p rz-record -p rz-convert -p rz-report --bins
install "$built/rec" "$built/conv" "$built/report" $dist/
strip --strip-debug $dist/conv $dist/report

if readelf --program-headers $dist/rec | grep -q INTERP; then
    echo "build.sh: $dist/rec is not statically linked" >&2
    exit 1
fi

if [ $profile = release ]; then
    for program in rec conv report; do
        ./sbom.sh $program >$dist/$program.cdx.json
    done
fi
