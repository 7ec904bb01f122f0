#!/usr/bin/env bash
# Builds rec, conv and report, optimized, into target/dist/.
#
# rec is linked statically, libc included, so that the one file can be copied
# to any Linux box of this architecture. The flag goes to the final link only:
# a target-wide flag would build every dependency a second time.
set -euo pipefail
cd "$(dirname "$0")"
./build-tools.sh

target_dir=${CARGO_TARGET_DIR:-target}
cargo rustc --locked --release -p rz-record --bin rec -- -C target-feature=+crt-static -C strip=debuginfo
mkdir -p target/dist
install "$target_dir/release/rec" target/dist/rec
cargo build --locked --release -p rz-convert -p rz-report --bins
install "$target_dir/release/conv" "$target_dir/release/report" target/dist/
strip --strip-debug target/dist/conv target/dist/report

if readelf --program-headers target/dist/rec | grep -q INTERP; then
    echo "build.sh: target/dist/rec is not statically linked" >&2
    exit 1
fi
