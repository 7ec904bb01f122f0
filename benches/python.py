#!/usr/bin/env python3
"""What it costs to record a Python program, against py-spy.

The target is 40 functions deep and publishes how often it has gone round its loop.
For each recorder: its CPU time and that of its bpf programs per sample, the file's
bytes per sample, samples that it could not take, and how much slower the target
was, set against its speed just before and just after. Prints medians with the
smallest and largest. Needs root, and kernel.bpf_stats_enabled=1 for the time of
bpf programs (--allow-sysctl sets it for as long as it runs).
"""

import argparse
import contextlib
import mmap
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bpf_time import BpfPrograms
from machine import BENCH_PROGRAMS, REC, describe, missing_rec, prepare, sysctls
from measure import ATTACH_S, spread

DEEP = 40
TARGET = """
import mmap, struct, sys

def descend(depth, counts):
    if depth > 1:
        descend(depth - 1, counts)
    rounds = 0
    while True:
        for i in range(100):
            rounds += 1
        struct.pack_into("Q", counts, 0, rounds)

with open(sys.argv[1], "r+b") as file:
    counts = mmap.mmap(file.fileno(), 8)
print("ready", flush=True)
descend(int(sys.argv[2]), counts)
"""


@dataclass
class Run:
    """One recording."""

    cpu_s: float
    bpf_s: float
    samples: int
    missed: int
    file_bytes: int
    slower: float


@dataclass
class Recorder:
    """One way to record; `counts(output, log)` tells how many samples there are, and
    how many are missing."""

    name: str
    command: Callable[[int, int, float, str], list[str]]
    counts: Callable[[str, str], tuple[int, int]]
    skip: str = ""


def recorders(rec: str) -> list[Recorder]:
    report = os.path.join(os.path.dirname(rec), "report")

    def ours(output: str, _log: str) -> tuple[int, int]:
        text = subprocess.run([report, output], capture_output=True, text=True, check=True).stdout
        lost = re.search(r"^  lost +([\d,]+)", text, re.MULTILINE)
        number = lambda match: int(match[1].replace(",", "")) if match else 0
        return number(re.search(r"^  samples +([\d,]+)", text, re.MULTILINE)), number(lost)

    def pyspys(_output: str, log: str) -> tuple[int, int]:
        found = re.search(r"Samples: (\d+) Errors: (\d+)", log)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    return [
        Recorder("rec", lambda pid, hz, seconds, output: [
            rec, "-q", "-F", str(hz), "-d", str(seconds), "-p", str(pid), "-o", output],
            ours, missing_rec(rec)),
        Recorder("py-spy", lambda pid, hz, seconds, output: [
            "py-spy", "record", "-r", str(hz), "-d", str(round(seconds)), "-p", str(pid),
            "-f", "raw", "-o", output],
            pyspys, "" if shutil.which("py-spy") else "not installed: pip install py-spy"),
    ]


@contextlib.contextmanager
def target(python: str) -> Iterator[tuple[int, Callable[[float], float]]]:
    """A process, and how many rounds per second it goes during so many seconds."""
    with tempfile.NamedTemporaryFile() as counts:
        counts.write(bytes(8))
        counts.flush()
        process = subprocess.Popen([python, "-c", TARGET, counts.name, str(DEEP)],
                                   stdout=subprocess.PIPE)
        try:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError(f"{python} did not start")
            view = mmap.mmap(counts.fileno(), 8, prot=mmap.PROT_READ)

            def speed(seconds: float) -> float:
                start, before = time.monotonic(), struct.unpack("Q", view[:8])[0]
                time.sleep(seconds)
                return (struct.unpack("Q", view[:8])[0] - before) / (time.monotonic() - start)

            yield process.pid, speed
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def record(recorder: Recorder, python: str, hz: int, seconds: float) -> Run:
    with target(python) as (pid, speed), tempfile.TemporaryDirectory() as folder:
        output, used = os.path.join(folder, "output"), os.path.join(folder, "used")
        time.sleep(ATTACH_S)
        before = speed(seconds)
        command = recorder.command(pid, hz, seconds + 2 * ATTACH_S, output)
        process = subprocess.Popen([os.path.join(BENCH_PROGRAMS, "rusage"), used, *command],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        time.sleep(ATTACH_S)
        during = speed(seconds)
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            programs = BpfPrograms(int(file.read().split()[0]))
        with programs:
            log, _ = process.communicate(timeout=60)
            bpf_s = programs.seconds()
        after = speed(seconds)
        with open(used) as file:
            cpu_s, _, code = file.read().split()
        if code != "0":
            raise RuntimeError(f"{recorder.name} exited with {code}: {log}")
        samples, missed = recorder.counts(output, log)
        slower = 1 - during / ((before + after) / 2)
        return Run(float(cpu_s), bpf_s, samples, missed, os.path.getsize(output), slower)


def row(recorder: Recorder, python: str, hz: int, options: argparse.Namespace) -> None:
    if recorder.skip:
        print(f"| {recorder.name} | {hz} | {recorder.skip} | | | | |", flush=True)
        return
    runs = [record(recorder, python, hz, options.seconds) for _ in range(options.rounds)]
    each = lambda value: [value(run) for run in runs]
    columns = [
        spread(each(lambda run: run.samples), "{:,}".format),
        spread(each(lambda run: run.missed), "{:,}".format),
        spread(each(lambda run: (run.cpu_s + run.bpf_s) / max(run.samples, 1) * 1e6), "{:.1f}".format),
        spread(each(lambda run: run.file_bytes / max(run.samples, 1)), "{:.1f}".format),
        spread(each(lambda run: run.slower * 100), "{:.2f}".format),
    ]
    print(f"| {recorder.name} | {hz} | {' | '.join(columns)} |", flush=True)


def main() -> int:
    options = parse_options()
    prepare()
    describe(options.rec)
    with sysctls({"kernel.bpf_stats_enabled": 1} if options.allow_sysctl else {}):
        for python in options.python:
            version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True)
            print(f"\n{version.stdout.strip()}, {DEEP} functions deep, {options.rounds} rounds "
                  f"of {options.seconds:g} s\n")
            print("| recorder | Hz | samples | missed | CPU µs per sample | bytes per sample "
                  "| target slower, % |")
            print("|---|---|---|---|---|---|---|", flush=True)
            for hz in options.hz:
                for recorder in recorders(options.rec):
                    row(recorder, python, hz, options)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  sudo benches/python.py --allow-sysctl
  sudo benches/python.py --python python3.13 --rounds 1 --seconds 2    does it work at all?""")
    parser.add_argument("--python", nargs="+", default=["python3"], help="interpreters (python3)")
    parser.add_argument("--hz", nargs="+", type=int, default=[99, 997], help="samples per second (99 997)")
    parser.add_argument("--rounds", type=int, default=5, help="recordings of each (5)")
    parser.add_argument("--seconds", type=float, default=5, help="length of a recording (5)")
    parser.add_argument("--allow-sysctl", action="store_true",
                        help="have the kernel take the time of bpf programs meanwhile")
    parser.add_argument("--rec", default=REC, help="the rec to run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
