#!/bin/sh
# Stands in for rustc in build.sh: links `rec` statically, libc included, and
# leaves all else as it is, but for the folder, of which nothing is to be in what
# is built. A flag for all of the target would build every dependency a second
# time, and so would a build of `rec` alone, whose dependencies have other features.
set -- "$@" "--remap-path-prefix=$PWD=."
case " $* " in
    *" --crate-name rec "*) set -- "$@" -C target-feature=+crt-static -C strip=debuginfo ;;
esac
exec "$@"
