#!/usr/bin/env bash
# Records a real server under load and shows what rz makes of it.
#
# Builds rz, starts a Redis of its own (on a socket of its own, no
# persistence, a temporary folder) with redis-benchmark as the load, records
# five seconds, and writes a report and the common formats to quickstart-out/.
# With RZ_BIN_DIR, the binaries in that folder are taken, and none are built.
# Ends only what it started. Without Redis, and no way to install it, a demo
# program from tests/programs takes its place.
set -euo pipefail
cd "$(dirname "$0")"

OUT=quickstart-out
TRACE=$OUT/trace.rz
started=()
scratch=$(mktemp -d)

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\033[1m' plain=$'\033[0m'
fi
step() { printf '\n%s== %s%s\n' "$bold" "$1" "$plain"; }

clean_up() {
    for pid in "${started[@]}"; do
        if kill "$pid" 2>/dev/null; then
            wait "$pid" 2>/dev/null || true
        fi
    done
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Own processes may be recorded without root unless the kernel forbids it.
check_permission() {
    local level
    level=$(cat /proc/sys/kernel/perf_event_paranoid 2>/dev/null || echo missing)
    if [ "$level" = missing ]; then
        echo "This kernel has no perf events; rec needs them." >&2
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ] && [ "$level" -gt 2 ]; then
        cat >&2 <<HELP
kernel.perf_event_paranoid is $level, so only root may record. Either run this
as root, or allow users to record their own processes until the next boot:

    sudo sysctl kernel.perf_event_paranoid=2
HELP
        exit 1
    fi
}

have_redis() {
    command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null
}

install_redis() {
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        # Never ask for a password: the demo program will do.
        sudo=(sudo -n)
    fi
    command -v apt-get >/dev/null || return 1
    "${sudo[@]}" apt-get update -qq &&
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -y -qq redis-server redis-tools || return 1
    # Debian starts the server that it installs; this script starts its own.
    if command -v systemctl >/dev/null && systemctl is-active --quiet redis-server; then
        "${sudo[@]}" systemctl disable --quiet --now redis-server
    fi
}

# Starts the server and its load; sets `target` to the server's process id.
start_redis() {
    local socket=$scratch/redis.sock tries
    redis-server --port 0 --unixsocket "$socket" --save '' --appendonly no \
        --dir "$scratch" >"$scratch/redis.log" &
    target=$!
    started+=("$target")
    for tries in $(seq 100); do
        if redis-cli -s "$socket" ping 2>/dev/null | grep -q PONG; then break; fi
        if [ "$tries" = 100 ]; then
            cat "$scratch/redis.log" >&2
            exit 1
        fi
        sleep 0.1
    done
    redis-benchmark -s "$socket" -l -q -r 100000 -c 20 -P 8 \
        -t set,get,lpush,zadd,lrange_100 >/dev/null 2>&1 &
    started+=("$!")
    echo "redis-server, process $target, under redis-benchmark"
}

start_demo_program() {
    make --silent -C tests/programs ../../target/programs/cppdemo
    target/programs/cppdemo >"$scratch/demo.log" &
    target=$!
    started+=("$target")
    until grep -q ready "$scratch/demo.log"; do
        kill -0 "$target"
        sleep 0.1
    done
    echo "the demo program cppdemo, process $target"
}

check_permission

step "Building"
if [ -n "${RZ_BIN_DIR:-}" ]; then
    # The tests have built them.
    bin=$RZ_BIN_DIR
elif [ -x target/dist/report ]; then
    ./build.sh
    bin=target/dist
else
    ./build.sh --quick
    bin=target/dist-quick
fi

step "Starting something to look at"
if have_redis || install_redis; then
    start_redis
else
    echo "Redis is not here and could not be installed."
    start_demo_program
fi

mkdir -p $OUT
show() {
    printf '$'
    printf ' %s' "$@"
    printf '\n'
    "$@"
}

step "What can be recorded here"
show $bin/rec --check
# Waits and system calls need root and a recent kernel.
more=()
for option in --off-cpu --syscalls; do
    if $bin/rec --check | grep -q "^yes .*($option)"; then more+=("$option"); fi
done

step "Recording 5 seconds of it, while it runs"
show $bin/rec -d 5 -p "$target" "${more[@]}" -o $TRACE --force

step "What it did"
show $bin/report $TRACE
for option in "${more[@]}"; do
    show $bin/report $TRACE "$option" --limit 5
done

step "Writing other formats"
show $bin/report $TRACE --svg $OUT/flame.svg
show $bin/conv $TRACE --to speedscope -o $OUT/speedscope.json
show $bin/conv $TRACE --to pprof -o $OUT/profile.pb.gz
show $bin/conv $TRACE --to folded -o $OUT/stacks.folded

step "Done"
for file in "$TRACE" $OUT/flame.svg $OUT/speedscope.json $OUT/profile.pb.gz $OUT/stacks.folded; do
    [ -s "$file" ] || { echo "$file was not written" >&2; exit 1; }
done
cat <<NEXT
In $OUT/:

    trace.rz          the recording: all else was made from it, and can be again
    flame.svg         a flame graph; open it in a browser
    speedscope.json   drop it on the page of speedscope
    profile.pb.gz     go tool pprof -http=: $OUT/profile.pb.gz
    stacks.folded     one stack a line, for grep and flamegraph.pl

Next, look at a process of your own:

    $bin/rec -d 30 -p PID -o trace.rz
    $bin/report trace.rz --tree
    $bin/report trace.rz --syscalls --list --tail 20
    $bin/report --diff before.rz after.rz
NEXT
if [ $bin = target/dist-quick ]; then
    printf '\nFor more than a first look, ./build.sh makes releases in target/dist/.\n'
fi
