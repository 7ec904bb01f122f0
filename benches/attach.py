#!/usr/bin/env python3
"""Sets side by side how recorders attach to a process of very many threads.

The program, benches/crowd.c, has two busy threads and thousands that sleep and
wake once a second. Prints a Markdown table of the time from the start of the
recorder to the first sample, its peak memory, and its CPU time.

rec does not export the time of a sample. Its file gets its name right after
sampling began, and with two busy threads a sample follows within a period:
that period is added to when the file appears. perf's is the time of the first
sample in its file. A recorder that cannot attach at all is shown with what it
says; perf and rec --tier perf need open files for each thread, see ulimit -n.
"""

import argparse
import contextlib
import os
import re
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from attached import FAILURES, Attached, Outcome, told_by_rec
from machine import BENCH_PROGRAMS, REC, describe, missing, missing_rec, prepare
from measure import spread


@dataclass
class Recorder:
    """One way to attach.

    `command(pid, hz, seconds, output)` is its command line;
    `first_s(attached, output, hz)` waits until it has ended, and returns what
    came of it and when on CLOCK_MONOTONIC the first sample was taken.
    """

    name: str
    command: Callable[[int, int, float, str], list[str]]
    first_s: Callable[[Attached, str, int], tuple[Outcome, float]]
    skip: str = ""


@dataclass
class Run:
    """One attachment."""

    first_s: float
    outcome: Outcome


def main() -> None:
    options = parse_options()
    prepare()
    describe(options.rec)
    runnable = find_runnable(options)
    found: dict[str, list[Run]] = {recorder.name: [] for recorder in runnable}
    failures: dict[str, str] = {}
    with crowd(options.threads) as pid:
        for _ in range(options.rounds):
            for recorder in runnable:
                try:
                    found[recorder.name].append(attach(recorder, pid, options))
                except FAILURES as error:
                    failures[recorder.name] = str(error)
    print_table(found, failures, options)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  sudo benches/attach.py
  sudo benches/attach.py --threads 500 --rounds 1    does it work at all?""")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the table (5)")
    parser.add_argument("--threads", type=int, default=10_000, metavar="N",
                        help="threads of the program (10000)")
    parser.add_argument("--seconds", type=float, default=3, help="length of a recording (3)")
    parser.add_argument("--hz", type=int, default=99, help="the rate (99)")
    parser.add_argument("--recorder", action="append", metavar="NAME",
                        help="only this one, as it is named in the table; may be repeated")
    parser.add_argument("--rec", default=REC, help="the rec to run")
    return parser.parse_args()


@contextlib.contextmanager
def crowd(threads: int) -> Iterator[int]:
    """Runs the program of many threads; gives its process id when all run."""
    process = subprocess.Popen([os.path.join(BENCH_PROGRAMS, "crowd"), str(threads)],
                               stdout=subprocess.PIPE)
    try:
        if process.stdout.readline() != b"ready\n":
            raise SystemExit(f"{threads} threads cannot be started here")
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _first_of_rec(attached: Attached, _output: str, hz: int) -> tuple[Outcome, float]:
    attached.wait_until_recording(by_file=True)
    first = time.monotonic() + 1 / hz
    outcome = attached.wait()
    if not re.search(r"[1-9]\d* samples", outcome.log):
        raise RuntimeError(f"no sample: {outcome.log.strip()}")
    return outcome, first


def _first_of_perf(attached: Attached, output: str, _hz: int) -> tuple[Outcome, float]:
    outcome = attached.wait()
    script = subprocess.run(["perf", "script", "--ns", "-F", "time", "-i", output],
                            capture_output=True, text=True, check=True).stdout
    times = [float(line.strip(" :")) for line in script.splitlines() if line.strip()]
    if not times:
        raise RuntimeError("no sample")
    return outcome, min(times)


def _rec(rec: str, *more: str) -> Callable[[int, int, float, str], list[str]]:
    return lambda pid, hz, seconds, output: [
        rec, "-F", str(hz), "-d", f"{seconds:g}", "-p", str(pid), *more, "-o", output]


def _perf(pid: int, hz: int, seconds: float, output: str) -> list[str]:
    return ["perf", "record", "-q", "-k", "CLOCK_MONOTONIC", "-F", str(hz), "-g", "-o", output,
            "-p", str(pid), "--", "sleep", f"{seconds:g}"]


def recorders(rec: str) -> list[Recorder]:
    """All recorders, in the order of the table; `rec` is the path of rz's."""
    own, root = missing_rec(rec), "" if os.geteuid() == 0 else "needs root"
    everything = ["--off-cpu", "--syscalls"]
    return [
        Recorder("rec", _rec(rec), _first_of_rec, own),
        Recorder("rec " + " ".join(everything), _rec(rec, *everything), _first_of_rec, own or root),
        Recorder("rec --tier perf", _rec(rec, "--tier", "perf"), _first_of_rec, own),
        Recorder("perf record -g", _perf, _first_of_perf, missing("perf")),
    ]


def find_runnable(options: argparse.Namespace) -> list[Recorder]:
    runnable = []
    for recorder in recorders(options.rec):
        if options.recorder and recorder.name not in options.recorder:
            continue
        if recorder.skip:
            print(f"skipped: {recorder.name}: {recorder.skip}", flush=True)
        else:
            runnable.append(recorder)
    return runnable


def attach(recorder: Recorder, pid: int, options: argparse.Namespace) -> Run:
    """Attaches once, and records for as long as the options say."""
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        output = os.path.join(folder, "output")
        command = recorder.command(pid, options.hz, options.seconds, output)
        start = time.monotonic()
        with Attached(command, output) as attached:
            outcome, first = recorder.first_s(attached, output, options.hz)
    return Run(first - start, outcome)


def print_table(found: dict[str, list[Run]], failures: dict[str, str],
                options: argparse.Namespace) -> None:
    print(f"\nAttaching to {options.threads} threads at {options.hz} Hz for "
          f"{options.seconds:g} s, {options.rounds} rounds, at most "
          f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]} open files: median (min to max)\n")
    print("| recorder | start to first sample, s | relative to the first | peak memory, MiB "
          "| CPU of the recorder, s | file, KiB | rec's own words, last round |")
    print("|---|---|---|---|---|---|---|")
    reference = None
    for name, runs in found.items():
        if not runs:
            print(f"| {name} | failed | | | | | |")
            continue
        middle = statistics.median(run.first_s for run in runs)
        reference = reference or middle
        print(f"| {name} | {spread((run.first_s for run in runs), '{:.2f}'.format)} "
              f"| {middle / reference:.2f} "
              f"| {spread((run.outcome.peak_kib / 1024 for run in runs), '{:.1f}'.format)} "
              f"| {spread((run.outcome.cpu_s for run in runs), '{:.2f}'.format)} "
              f"| {spread((run.outcome.file_bytes / 1024 for run in runs), '{:.0f}'.format)} "
              f"| {told_by_rec(runs[-1].outcome.log) or '–'} |", flush=True)
    for name, failure in failures.items():
        print(f"\nfailed: {name}: {failure}")


if __name__ == "__main__":
    main()
