#!/bin/sh
# Runs what cargo has built.
#
# The end-to-end tests compare how much CPU time programs get, and how long they wait:
# they run one by one. All but those below, which need what is right, but do not mind
# how long it takes: as many of them run at a time as there are processors. So do
# virtual machines, which take one each.
together='annotate:: bad_input:: bounds:: consumers:: debuginfod:: embed:: facts:: files:: go::
    heap:: import:: info:: java:: jit:: json:: merge:: names:: node:: page:: pipes:: python:: quickstart::
    redact:: repair:: second_reader:: source_maps:: stacks:: workspace::'

case ${1##*/} in
    e2e-*)
        tests=$1
        if [ $# -gt 1 ]; then exec env RUST_TEST_THREADS=1 "$@"; fi
        # shellcheck disable=SC2086 # They are words.
        RUST_TEST_THREADS=$(nproc) "$tests" $together
        first=$?
        # shellcheck disable=SC2086,SC2046
        RUST_TEST_THREADS=1 "$tests" $(printf -- '--skip %s ' $together) && exit $first
        ;;
    kernels-*) RUST_TEST_THREADS=$(nproc) exec "$@" ;;
    *) exec "$@" ;;
esac
