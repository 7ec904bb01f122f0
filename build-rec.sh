#!/bin/sh
# Stands in for rustc in build.sh: links `rec` statically, libc included, and
# leaves all else as it is. A flag for all of the target would build every
# dependency a second time, and so would a build of `rec` alone, whose
# dependencies have other features.
case " $* " in
    *" --crate-name rec "*) exec "$@" -C target-feature=+crt-static -C strip=debuginfo ;;
esac
exec "$@"
