#!/usr/bin/env python3
"""Sets what recording the allocations of a running process costs that process.

Prints Markdown tables of

- pairs: the time of malloc and free of 64 bytes in a loop that does nothing
  else, with the C library's allocator and with jemalloc where it is installed:
  alone, with probes that sample, also as kernels before Linux 6.13 have to do
  it, and with all allocations recorded;
- guard: how much time that loop loses where it allocates too often for the
  probes to stay, by default.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import threading
import time

from machine import PROGRAMS, REC, ROOT, describe, prepare
from measure import spread

JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
PAIRS = "rec --alloc, probes at both ends"
NO_LIMIT = ["--alloc-limit", "100000"]
WAYS = {
    "rec --alloc (512 KiB)": ["--alloc", *NO_LIMIT],
    PAIRS: ["--alloc", *NO_LIMIT],
    "rec --alloc=16K": ["--alloc=16K", *NO_LIMIT],
    "rec --alloc=full": ["--alloc=full", *NO_LIMIT],
}


def main() -> None:
    options = parse_options()
    prepare()
    programs = os.path.join(ROOT, "tests/programs")
    subprocess.run(["make", "--silent", "-C", programs, "../../target/programs/allocs"], check=True)
    describe(options.rec)
    allocators = {"glibc": None}
    if os.path.exists(JEMALLOC):
        allocators["jemalloc"] = JEMALLOC
    print("\n| malloc and free, ns | alone | " + " | ".join(WAYS) + " |")
    print("|---|" + "--:|" * (1 + len(WAYS)))
    for name, library in allocators.items():
        cells = {way: [] for way in ["alone", *WAYS]}
        for _ in range(options.rounds):
            with Loop(library) as loop:
                cells["alone"].append(loop.pair_ns(0.5))
                for way in WAYS:
                    cells[way].append(while_recorded(loop, options, way))
        print(f"| {name} | " + " | ".join(spread(ns, "{:.0f}".format) for ns in cells.values())
              + " |", flush=True)
    lost = [given_up(options) for _ in range(options.rounds)]
    print(f"\nGiven up by default: the loop lost {spread(lost, '{:.0f} ms'.format)}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    parser.add_argument("--rec", default=REC, help="the rec to run")
    return parser.parse_args()


class Loop:
    """The program allocs, which says twenty times a second how long a pair takes."""

    def __init__(self, library: str | None):
        environment = {**os.environ, "LD_PRELOAD": library} if library else None
        self._process = subprocess.Popen([os.path.join(PROGRAMS, "allocs"), "hot", "0"],
                                         stdout=subprocess.PIPE, text=True, env=environment)
        self._said = []
        self._reader = threading.Thread(target=self._read)

    def _read(self) -> None:
        for line in self._process.stdout:
            if line.startswith("pair"):
                self._said.append((time.monotonic(), float(line.split()[1])))

    def __enter__(self):
        self._reader.start()
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def pair_ns(self, seconds: float) -> float:
        """Time of a pair, during the next `seconds`."""
        start = time.monotonic()
        time.sleep(seconds)
        return statistics.median(ns for at, ns in self._said if at > start)

    def lost_ms(self) -> float:
        """How much longer than usual its pairs have taken in all."""
        usual = statistics.median(ns for _, ns in self._said)
        return sum(50 * max(0, 1 - usual / ns) for _, ns in self._said if ns > 2 * usual)


def record(loop: Loop, options: argparse.Namespace, seconds: int, arguments: list[str],
           meanwhile, ways: str = "") -> float:
    """Records `loop`, and returns what `meanwhile` does."""
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        recorder = subprocess.Popen(
            [options.rec, "-q", "-d", str(seconds), "-p", str(loop.pid),
             "-o", os.path.join(folder, "trace.rz"), *arguments],
            stderr=subprocess.DEVNULL, env={**os.environ, "RZ_WAYS": ways})
        found = meanwhile()
        if recorder.wait() != 0:
            raise RuntimeError(f"{options.rec} failed")
        return found


def while_recorded(loop: Loop, options: argparse.Namespace, way: str) -> float:
    def measure() -> float:
        time.sleep(1)
        return loop.pair_ns(1.5)
    ways = "pairs" if way == PAIRS else ""
    return record(loop, options, 3, WAYS[way], measure, ways)


def given_up(options: argparse.Namespace) -> float:
    with Loop(None) as loop:
        time.sleep(0.3)
        record(loop, options, 2, ["--alloc"], lambda: 0)
        time.sleep(0.3)
        return loop.lost_ms()


if __name__ == "__main__":
    main()
