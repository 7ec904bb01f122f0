"""The time that a recorder's bpf programs take in the kernel.

They run in the threads and interrupts of others, so no recorder's own CPU time
has them in it. The kernel adds their time up while kernel.bpf_stats_enabled is
1, from when a program begins until it returns: the interrupt around it is not
in it.
"""

import ctypes
import os

# The same number on every architecture.
SYS_PIDFD_GETFD = 438

_libc = ctypes.CDLL(None, use_errno=True)


class BpfPrograms:
    """Programs that `pid` has open, held until their times are read.

    With the last descriptor a program goes, and its time with it. They are
    held so that they can be read when the recorder has ended.
    """

    def __init__(self, pid: int):
        self._held = [_copy(pid, fd) for fd in _program_fds(pid)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fd in self._held:
            os.close(fd)

    def seconds(self) -> float:
        """Time of all programs, 0 if there are none."""
        return sum(_run_time_ns(fd) for fd in self._held) / 1e9


def _program_fds(pid: int) -> list[int]:
    fds, ids = [], set()
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            info = _fields(pid, int(name))
        except FileNotFoundError:
            continue  # closed since
        # Links to programs tell of them, too, but have no type of program.
        if "prog_type" in info and info["prog_id"] not in ids:
            ids.add(info["prog_id"])
            fds.append(int(name))
    return fds


def _run_time_ns(fd: int) -> int:
    return int(_fields(os.getpid(), fd)["run_time_ns"])


def _fields(pid: int, fd: int) -> dict[str, str]:
    with open(f"/proc/{pid}/fdinfo/{fd}") as file:
        pairs = (line.split(":", 1) for line in file if ":" in line)
        return {name: value.strip() for name, value in pairs}


def _copy(pid: int, fd: int) -> int:
    pidfd = os.pidfd_open(pid)
    try:
        copy = _libc.syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), f"cannot copy descriptor {fd} of process {pid}")
        return copy
    finally:
        os.close(pidfd)
