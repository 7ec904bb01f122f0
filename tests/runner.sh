#!/bin/sh
# Runs what cargo has built. The end-to-end tests compare how much CPU time programs
# get, and virtual machines need all there is: they run one by one.
case ${1##*/} in
    e2e-* | kernels-*) export RUST_TEST_THREADS=1 ;;
esac
exec "$@"
