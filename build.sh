#!/usr/bin/env bash
# Builds rec, conv and report, optimized, into target/dist/.
#
#   build.sh           releases
#   build.sh --quick   for a first look, in a third of the time and into
#                      target/dist-quick/: only what records and decodes is
#                      optimized
#
# rec is linked statically, libc included, so that the one file can be copied
# to any Linux box of this architecture. The flag goes to the final link only:
# a target-wide flag would build every dependency a second time.
set -euo pipefail
cd "$(dirname "$0")"
case "${1:-}" in
    "") profile=release dist=target/dist ;;
    --quick) profile=quick dist=target/dist-quick ;;
    *)
        echo "usage: build.sh [--quick]" >&2
        exit 2
        ;;
esac
./build-tools.sh

built=${CARGO_TARGET_DIR:-target}/$profile
mkdir -p $dist
# All at once: what comes last of one crate goes on beside the others.
cargo build --locked --profile $profile -p rz-record -p rz-convert -p rz-report --lib --bin conv --bin report
cargo rustc --locked --profile $profile -p rz-record --bin rec -- -C target-feature=+crt-static -C strip=debuginfo
install "$built/rec" "$built/conv" "$built/report" $dist/
strip --strip-debug $dist/conv $dist/report

if readelf --program-headers $dist/rec | grep -q INTERP; then
    echo "build.sh: $dist/rec is not statically linked" >&2
    exit 1
fi
