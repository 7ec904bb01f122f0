#!/usr/bin/env bash
# Installs what a build needs besides Rust, where it is missing: a C compiler for
# zstd and libbpf, and the static libraries that libbpf is linked with.
set -euo pipefail

# Packages of Debian and its like of which a command or file is missing.
missing_packages() {
    command -v cc >/dev/null || echo gcc
    command -v make >/dev/null || echo make
    command -v pkg-config >/dev/null || echo pkg-config
    command -v readelf >/dev/null || echo binutils
    # The static link of rec.
    has_library c || echo libc6-dev
    if ! has_library elf || [ ! -e /usr/include/libelf.h ]; then echo libelf-dev; fi
    if ! has_library z || [ ! -e /usr/include/zlib.h ]; then echo zlib1g-dev; fi
}

has_library() {
    command -v cc >/dev/null && [ "$(cc -print-file-name="lib$1.a")" != "lib$1.a" ]
}

mapfile -t packages < <(missing_packages)
[ ${#packages[@]} -gt 0 ] || exit 0
echo "a build needs: ${packages[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
if ! command -v apt-get >/dev/null; then
    echo "install what your system calls these packages of Debian, then run this again" >&2
    exit 1
fi
"${as_root[@]}" apt-get update -qq || { sleep 3 && "${as_root[@]}" apt-get update -qq; }
install=(apt-get install -y -qq --no-install-recommends "${packages[@]}")
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" ||
    { sleep 3 && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}"; }
