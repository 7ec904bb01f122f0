#!/usr/bin/env python3
"""Sets what recording calls of a function costs the process, beside perf and ltrace.

Prints a Markdown table of the time of a call in a loop that does nothing else: of a function
with an instruction early on that the kernel carries out by itself (`left`), as most have, and of
one where the processor has to take a single step (`doubled`). Each is called alone, with
`rec --call`, with `perf record` of a uprobe and a uretprobe, and under `ltrace -L -x`. Then: after
how long the guard of `rec --call` has taken its probes away by default.
"""

import argparse
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time

from machine import PROGRAMS, REC, ROOT, describe, prepare
from measure import spread

FUNCTIONS = {"left": "no single step", "doubled": "single step"}


def main() -> None:
    options = parse_options()
    prepare()
    programs = os.path.join(ROOT, "tests/programs")
    subprocess.run(["make", "--silent", "-C", programs, "../../target/programs/callee"],
                   check=True)
    describe(options.rec)
    ways = {"alone": alone, "rec --call": by_rec, "perf record": by_perf, "ltrace": by_ltrace}
    print("\n| ns a call | " + " | ".join(ways) + " |")
    print("|---|" + "--:|" * len(ways))
    for function, what in FUNCTIONS.items():
        cells = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, measure in ways.items():
                with Loop(function) as loop:
                    cells[way].append(measure(loop, function, options))
        print(f"| `{function}`, {what} | "
              + " | ".join(spread(ns, "{:,.0f}".format) for ns in cells.values()) + " |",
              flush=True)
    lost = [given_up(options) for _ in range(options.rounds)]
    print(f"\nGiven up by default: the loop lost {spread(lost, '{:.0f} ms'.format)}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    parser.add_argument("--rec", default=REC, help="the rec to run")
    return parser.parse_args()


class Loop:
    """The program callee, which says twenty times a second how long a call takes."""

    def __init__(self, function: str):
        self._process = subprocess.Popen([os.path.join(PROGRAMS, "callee"), "hot", function],
                                         stdout=subprocess.PIPE, text=True)
        self._said = []
        self._reader = threading.Thread(target=self._read)

    def _read(self) -> None:
        for line in self._process.stdout:
            if line.startswith("call"):
                self._said.append((time.monotonic(), float(line.split()[1])))

    def __enter__(self):
        self._reader.start()
        time.sleep(0.2)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def call_ns(self, seconds: float) -> float:
        """Time of a call, during the next `seconds`."""
        start = time.monotonic()
        time.sleep(seconds)
        return statistics.median(ns for at, ns in self._said if at > start)

    def lost_ms(self) -> float:
        """How much longer than usual its calls have taken in all."""
        usual = statistics.median(ns for _, ns in self._said)
        return sum(50 * max(0, 1 - usual / ns) for _, ns in self._said if ns > 2 * usual)


def alone(loop: Loop, _function: str, _options: argparse.Namespace) -> float:
    return loop.call_ns(0.5)


def by_rec(loop: Loop, function: str, options: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        recorder = subprocess.Popen(
            [options.rec, "-q", "-d", "3", "-p", str(loop.pid), "--call", function,
             "--call-limit", "100000", "-o", os.path.join(folder, "trace.rz")],
            stderr=subprocess.DEVNULL)
        return while_it_runs(loop, recorder)


def by_perf(loop: Loop, function: str, _options: argparse.Namespace) -> float:
    program = os.path.join(PROGRAMS, "callee")
    probes = [f"rz_bench:{function}={function}", f"rz_bench:{function}_end={function}%return"]
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        for probe in probes:
            quietly(["perf", "probe", "-q", "-x", program, "--add", probe])
        try:
            recorder = subprocess.Popen(
                ["perf", "record", "-q", "-e", f"rz_bench:{function}*", "-p", str(loop.pid),
                 "-o", os.path.join(folder, "perf.data"), "--", "sleep", "3"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return while_it_runs(loop, recorder)
        finally:
            quietly(["perf", "probe", "-q", "--del", f"rz_bench:{function}*"])


def by_ltrace(loop: Loop, function: str, _options: argparse.Namespace) -> float:
    recorder = subprocess.Popen(
        ["ltrace", "-L", "-x", function, "-p", str(loop.pid),
         "-o", "/dev/null"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    found = loop.call_ns(1.5)
    recorder.send_signal(signal.SIGINT)
    try:
        recorder.wait(5)
    except subprocess.TimeoutExpired:
        recorder.kill()
        recorder.wait()
    return found


def while_it_runs(loop: Loop, recorder: subprocess.Popen) -> float:
    time.sleep(1)
    found = loop.call_ns(1.5)
    if recorder.wait() != 0:
        raise RuntimeError(f"{recorder.args[0]} failed")
    return found


def quietly(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def given_up(options: argparse.Namespace) -> float:
    with Loop("left") as loop, tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        time.sleep(0.3)
        subprocess.run(
            [options.rec, "-q", "-d", "2", "-p", str(loop.pid), "--call", "left",
             "-o", os.path.join(folder, "trace.rz")], check=True, stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        return loop.lost_ms()


if __name__ == "__main__":
    main()
