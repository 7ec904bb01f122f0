"""The tracers of system calls that are compared: how each is started, and its calls counted."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from machine import ROOT, missing, missing_rec

# What a count and a histogram per system call take in bpftrace. The program
# ends by a signal, and then prints both.
BPFTRACE = """
tracepoint:raw_syscalls:sys_enter /pid == $1/ { @start[tid] = nsecs; }
tracepoint:raw_syscalls:sys_exit /@start[tid]/ {
    @count[args->id] = count();
    @ns[args->id] = hist(nsecs - @start[tid]);
    delete(@start[tid]);
}
"""


@dataclass
class Tracer:
    """One way to trace the system calls of a live process until interrupted.

    `command(pid, output)` is its command line; `calls(output, log)` counts
    the calls that it recorded, None if it does not tell. It gets one part in
    `part` of the calls to trace, so that slow ones take no hours.
    """

    name: str
    command: Callable[[int, str], list[str]]
    calls: Callable[[str, str], int | None]
    part: int = 1
    skip: str = ""
    # Whether its output is as large for any number of calls.
    summary: bool = False


def _calls_of_rec(_output: str, log: str) -> int | None:
    found = re.search(r"(\d+) calls", log)
    return int(found.group(1)) if found else None


def _calls_of_perf_record(output: str, _log: str) -> int:
    stats = subprocess.run(["perf", "report", "--stats", "--stdio", "-i", output],
                           capture_output=True, text=True, check=True).stdout
    after = stats[stats.index("raw_syscalls:sys_exit"):]
    return int(re.search(r"SAMPLE events:\s+(\d+)", after).group(1))


def _calls_of_perf_trace_summary(output: str, _log: str) -> int:
    with open(output) as file:
        return sum(int(count) for count in re.findall(r"^ +[a-z]\w* +(\d+) ", file.read(), re.M))


def _lines(output: str, _log: str) -> int:
    with open(output, errors="replace") as file:
        return sum(1 for line in file if "(" in line)


def _calls_of_strace_summary(output: str, _log: str) -> int:
    with open(output) as file:
        *_, total = (line for line in file if line.endswith(" total\n"))
    return int(total.split()[3])


def _calls_of_bpftrace(output: str, _log: str) -> int:
    with open(output) as file:
        return sum(int(count) for count in re.findall(r"^@count\[\d+\]: (\d+)", file.read(), re.M))


def _rec(rec: str, *options: str) -> Callable[[int, str], list[str]]:
    return lambda pid, output: [
        # Every call is asked for, whatever that costs.
        rec, "-d", "1h", "--max-cpu", "100000", "-p", str(pid), *options, "-o", output]


def _perf_record(pid: int, output: str) -> list[str]:
    events = "raw_syscalls:sys_enter,raw_syscalls:sys_exit"
    return ["perf", "record", "-q", "-e", events, "-o", output, "-p", str(pid)]


def _bpftrace(pid: int, output: str) -> list[str]:
    return ["bpftrace", "-o", output, "-e", BPFTRACE, str(pid)]


def tracers(rec: str) -> list[Tracer]:
    """All tracers, in the order of the table; `rec` is the path of rz's."""
    own = missing_rec(rec) or ("" if os.geteuid() == 0 else "needs root")
    skips = {tool: missing(tool) or ("" if os.geteuid() == 0 else "needs root")
             for tool in ["perf", "bpftrace"]}
    strace = missing("strace")
    return [
        Tracer("rec --syscalls", _rec(rec, "--syscalls"), _calls_of_rec, 1, own),
        Tracer("rec --syscalls=summary", _rec(rec, "--syscalls=summary"), _calls_of_rec, 1, own,
               summary=True),
        Tracer("programs that do nothing (nothing.py)",
               lambda pid, output: [sys.executable, os.path.join(ROOT, "benches/nothing.py")],
               lambda output, log: None, 1, "" if os.geteuid() == 0 else "needs root",
               summary=True),
        Tracer("bpftrace, count and histogram", _bpftrace, _calls_of_bpftrace, 1,
               skips["bpftrace"], summary=True),
        Tracer("perf record -e raw_syscalls:*", _perf_record, _calls_of_perf_record, 4,
               skips["perf"]),
        Tracer("perf trace", lambda pid, output: ["perf", "trace", "-o", output, "-p", str(pid)],
               _lines, 50, skips["perf"]),
        Tracer("perf trace -s",
               lambda pid, output: ["perf", "trace", "-s", "-o", output, "-p", str(pid)],
               _calls_of_perf_trace_summary, 50, skips["perf"], summary=True),
        Tracer("strace -f", lambda pid, output: ["strace", "-f", "-o", output, "-p", str(pid)],
               _lines, 50, strace),
        Tracer("strace -f -c",
               lambda pid, output: ["strace", "-f", "-c", "-o", output, "-p", str(pid)],
               _calls_of_strace_summary, 50, strace, summary=True),
    ]
