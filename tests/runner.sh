#!/bin/sh
# Runs what cargo has built.
#
# The end-to-end tests compare how much CPU time programs get, and how long they wait:
# they run one by one. All but those below, which need what is right, but do not mind
# how long it takes: one more of them than there are processors runs at a time, as some
# always wait for a recording to end. Virtual machines take a processor each; with one
# more, the last one does not run alone.
together='annotate:: bad_input:: bounds:: called:: calls::sums_ consumers:: cpu_times:: debuginfod::
    diff::pictures_ doctor:: dump:: embed:: endings:: exchange:: facts:: fail_if:: files:: filters::
    fleet:: go:: heap:: hostile:: import:: info:: java:: jit:: json:: launch:: locked_down:: logs::
    merge:: names:: node:: page:: pipes:: python:: quickstart:: rebuilt:: redact:: repair:: rotate::
    rules:: second_reader:: source_maps:: stacks:: tracking:: unprivileged:: workspace::'

# The folders of cargo's libraries: each program of a test would look for its own in them,
# and calls that fail are recorded too.
unset LD_LIBRARY_PATH

case ${1##*/} in
    e2e-*)
        tests=$1
        if [ $# -gt 1 ]; then exec env RUST_TEST_THREADS=1 "$@"; fi
        # shellcheck disable=SC2086 # They are words.
        RUST_TEST_THREADS=$(($(nproc) + 1)) "$tests" $together
        first=$?
        # shellcheck disable=SC2086,SC2046
        RUST_TEST_THREADS=1 "$tests" $(printf -- '--skip %s ' $together) && exit $first
        ;;
    kernels-*) RUST_TEST_THREADS=$(($(nproc) + 1)) exec "$@" ;;
    *) exec "$@" ;;
esac
