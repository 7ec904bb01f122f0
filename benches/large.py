#!/usr/bin/env python3
"""How fast large traces are merged and compared, and with how much memory.

Writes traces of a million samples with the example write_traces of convert,
whose modules are not on this machine, so that nothing is symbolized. Then runs
`conv --to rz` on 16 of them, on a thousand small ones, and `report --diff` on
two, and prints medians with the smallest and largest.
"""

import argparse
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass

from machine import REC, ROOT, describe
from measure import spread


@dataclass
class Cost:
    """What a command took."""

    seconds: float
    peak_mib: float


def write_traces(folder: str, traces: int, samples: int) -> list[str]:
    os.mkdir(folder)
    subprocess.run(["cargo", "run", "--release", "--quiet", "-p", "rz-convert",
                    "--example", "write_traces", "--", folder, str(traces), str(samples)],
                   cwd=ROOT, check=True)
    return [os.path.join(folder, f"{id}.rz") for id in range(traces)]


def run(command: list[str]) -> Cost:
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise subprocess.CalledProcessError(child.returncode, command)
    return Cost(time.monotonic() - started, usage.ru_maxrss / 1024)


def main() -> None:
    options = parse_options()
    describe(options.rec)
    program = lambda name: os.path.join(os.path.dirname(options.rec), name)
    print("\n| what | time s | MB/s of traces | million samples/s | peak MiB |")
    print("|---|---|---|---|---|", flush=True)

    def row(what: str, command: list[str], traces: list[str], samples: int) -> None:
        costs = [run(command) for _ in range(options.rounds)]
        megabytes = sum(os.path.getsize(path) for path in traces) / 1e6
        columns = [spread([cost.seconds for cost in costs], "{:.2f}".format),
                   spread([megabytes / cost.seconds for cost in costs], "{:.1f}".format),
                   spread([len(traces) * samples / cost.seconds / 1e6 for cost in costs], "{:.1f}".format),
                   spread([cost.peak_mib for cost in costs], "{:.0f}".format)]
        print(f"| {what} | {' | '.join(columns)} |", flush=True)

    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        large = write_traces(os.path.join(folder, "large"), 16, options.samples)
        small = write_traces(os.path.join(folder, "small"), 1000, options.samples // 100)
        merged = os.path.join(folder, "all.rz")
        merge = [program("conv"), "--quiet", "--to", "rz", "-o", merged]
        row("merge 16 traces", [*merge, *large], large, options.samples)
        row("merge 1,000 small traces", [*merge, *small], small, options.samples // 100)
        row("compare two traces", [program("report"), "--diff", *large[:2]], large[:2],
            options.samples)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  benches/large.py
  benches/large.py --rounds 1 --samples 10000     does it work at all?""")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (5)")
    parser.add_argument("--samples", type=int, default=1_000_000,
                        help="samples of a large trace; a small one has a hundredth (1000000)")
    parser.add_argument("--rec", default=REC, help="the rec beside whose conv and report are run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
