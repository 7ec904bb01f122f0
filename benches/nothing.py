#!/usr/bin/env python3
"""Attaches programs that do nothing to the tracepoints of system calls.

What they add to a call, every tracer by bpf programs adds as well: the way into
the kernel by which system calls can be seen, and out of it.

  nothing.py        until interrupted
"""

import ctypes
import os
import signal
import struct

BPF_SYSCALL = 321
BPF_PROG_LOAD = 5
BPF_RAW_TRACEPOINT_OPEN = 17
RAW_TRACEPOINT = 17
# r0 = 0; exit
PROGRAM = struct.pack("<BBhi", 0xb7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = libc.syscall(BPF_SYSCALL, command, buffer, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def attach(tracepoint: bytes) -> None:
    """Until this process ends."""
    program = ctypes.create_string_buffer(PROGRAM)
    license = ctypes.create_string_buffer(b"GPL")
    name = ctypes.create_string_buffer(tracepoint)
    loaded = bpf(BPF_PROG_LOAD, struct.pack(
        "<IIQQ", RAW_TRACEPOINT, len(PROGRAM) // 8,
        ctypes.addressof(program), ctypes.addressof(license)) + bytes(104))
    bpf(BPF_RAW_TRACEPOINT_OPEN, struct.pack("<QII", ctypes.addressof(name), loaded, 0))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    attach(b"sys_enter")
    attach(b"sys_exit")
    signal.pause()


if __name__ == "__main__":
    main()
