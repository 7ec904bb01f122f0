#!/usr/bin/env bash
# Boots a kernel in a virtual machine, with rec and some target programs, and runs
# a shell script in it.
#
#   boot.sh KERNEL OUT SCRIPT [--keep-initrd]
#
# KERNEL is a name that fetch.sh knows. SCRIPT can use what guest/functions has,
# busybox, rec and the programs, which are where they are here. What it leaves in
# /out comes to the folder OUT, with the script's exit code as OUT/code; what it
# prints, and the kernel's messages, to OUT/console. Exits with 1 if the machine
# does not get to the end of the script in TIME_LIMIT seconds.
set -euo pipefail
script=$(realpath "$3")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")/../.."

TIME_LIMIT=${TIME_LIMIT:-450}
PROGRAMS=(allocs callee deep20 fakepython forker heap left waiter)

kernel=$1
programs=target/programs
own_programs=target/kernels/programs
rec=${RZ_BIN_DIR:-target/dist}/rec

for file in "$rec" "${PROGRAMS[@]/#/$programs/}"; do
    if [ ! -x "$file" ]; then
        echo "boot.sh: $file is missing: run tests/kernels/run.sh" >&2
        exit 1
    fi
done
make --silent -C tests/kernels
tests/kernels/fetch.sh "$kernel"

work=$(mktemp -d)
machine=
trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null || true; rm -rf "$work"' EXIT

# Puts a program where it is here, with the libraries that it needs: reports name
# the functions of the same files.
take() {
    local file library
    for file in "$@"; do
        file=$(realpath "$file")
        cp --parents -L "$file" "$work/root"
        # Fails for what is linked statically.
        { ldd "$file" 2>/dev/null || true; } | { grep -o '/[^ ]*' || true; } |
            while read -r library; do cp --parents -L "$library" "$work/root"; done
    done
}

make_initrd() {
    local root=$work/root busybox command
    mkdir -p "$root"/{bin,dev,etc,out,proc,root,sys,tmp}
    busybox=$(realpath "$(command -v busybox)")
    for command in $(busybox --list); do
        [ "$command" = busybox ] || ln -s "$busybox" "$root/bin/$command"
    done
    cp "$rec" "$root/bin/rec"
    take "$busybox" "${PROGRAMS[@]/#/$programs/}" "$own_programs"/*
    sed "s|PROGRAMS|$PWD/$programs:$PWD/$own_programs|" tests/kernels/guest/init >"$root/init"
    chmod +x "$root/init"
    cp tests/kernels/guest/functions "$root/functions"
    cp "$script" "$root/script"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    (cd "$root" && find . | cpio --quiet --create --format newc --owner 0:0) >"$work/initrd"
}

# What QEMU 7.2 cannot be trusted with is not used, as one boot in ten ends in a
# panic otherwise: a thread for each CPU, where code that has just been patched may
# run as it was before, and cmpxchg16b, which leaves nonsense in the flags. Without
# it, kernels from 7 on have no memory for bpf's task storage unless their heap is
# being debugged. Five levels of page tables only take time. With psi=1, threads
# that wait for memory are marked as such.
boot() {
    timeout "$TIME_LIMIT" qemu-system-x86_64 -accel tcg,thread=single -cpu max,cx16=off,la57=off \
        -smp 2 -m 2048 -nic none -display none -monitor none -no-reboot \
        -serial "file:$out/console" -serial "file:$work/sent" \
        -kernel "target/kernels/$kernel/vmlinuz" -initrd "$work/initrd" \
        -append "console=ttyS0 panic=-1 psi=1 slab_debug=F,kmalloc-*" </dev/null &
    machine=$!
    wait "$machine"
}

make_initrd
[ "${4:-}" != --keep-initrd ] || cp "$work/initrd" "$out/initrd"
code=0
boot || code=$?
machine=
if [ "$code" -ne 0 ] || ! tar -xzf "$work/sent" -C "$out" 2>/dev/null || [ ! -e "$out/code" ]; then
    if [ "$code" -eq 124 ]; then echo "boot.sh: not done after $TIME_LIMIT s" >&2; fi
    echo "boot.sh: $kernel did not come to the end of the script; the last it said:" >&2
    tail -n 40 "$out/console" >&2
    exit 1
fi
