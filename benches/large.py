#!/usr/bin/env python3
"""How fast large traces are merged and compared, and with how much memory.

Writes traces of a million samples with the example write_traces of convert,
whose modules are not on this machine, so that nothing is symbolized. Then runs
`conv --to rz` on 16 of them, on a thousand small ones, and `report --diff` on
two, and prints medians with the smallest and largest. With `--calls`, views of a
recording of many system calls as well, such as

    rec -d 240 --syscalls -p $(pidof redis-server) -o calls.rz

With `--before`, each command of another build runs before each of this one, and
the ratios of such pairs are printed.
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


class Table:
    """Rows of commands, which run in turn with those of another build if there is one."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        ratios = " this/before: time | memory |" if options.before else ""
        print(f"\n| what | time s | MB/s of traces | peak MiB |{ratios}")
        print("|---|---|---|---|" + ("---|---|" if options.before else ""), flush=True)

    def row(self, what: str, program: str, arguments: list[str], traces: list[str]) -> None:
        beside = lambda rec: os.path.join(os.path.dirname(rec), program)
        costs, before = [], []
        for _ in range(self._options.rounds):
            if self._options.before:
                before.append(run([beside(self._options.before), *arguments]))
            costs.append(run([beside(self._options.rec), *arguments]))
        megabytes = sum(os.path.getsize(path) for path in traces) / 1e6
        columns = [spread([cost.seconds for cost in costs], "{:.2f}".format),
                   spread([megabytes / cost.seconds for cost in costs], "{:.1f}".format),
                   spread([cost.peak_mib for cost in costs], "{:.0f}".format)]
        if before:
            pairs = list(zip(costs, before))
            columns += [spread([new.seconds / old.seconds for new, old in pairs], "{:.2f}".format),
                        spread([new.peak_mib / old.peak_mib for new, old in pairs], "{:.2f}".format)]
        print(f"| {what} | {' | '.join(columns)} |", flush=True)


def main() -> None:
    options = parse_options()
    describe(options.rec)
    table = Table(options)
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        large = write_traces(os.path.join(folder, "large"), 16, options.samples)
        small = write_traces(os.path.join(folder, "small"), 1000, options.samples // 100)
        merge = ["--quiet", "--to", "rz", "-o", os.path.join(folder, "all.rz")]
        table.row("merge 16 traces", "conv", [*merge, *large], large)
        table.row("merge 1,000 small traces", "conv", [*merge, *small], small)
        table.row("compare two traces", "report", ["--diff", *large[:2]], large[:2])
    if options.calls:
        calls = [options.calls]
        for view in ([], ["--syscalls"], ["--syscalls", "--from", "98%"],
                     ["--syscalls", "--list", "--tail", "3"]):
            what = " ".join(["report", *view])
            table.row(f"{what}, many calls", "report", [*view, options.calls], calls)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  benches/large.py
  benches/large.py --calls calls.rz --before ../before/target/dist/rec
  benches/large.py --rounds 1 --samples 10000     does it work at all?""")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (5)")
    parser.add_argument("--samples", type=int, default=1_000_000,
                        help="samples of a large trace; a small one has a hundredth (1000000)")
    parser.add_argument("--rec", default=REC, help="the rec beside whose conv and report are run")
    parser.add_argument("--before", metavar="REC", help="the same of another build, to compare with")
    parser.add_argument("--calls", metavar="TRACE", help="a recording of many system calls")
    return parser.parse_args()


if __name__ == "__main__":
    main()
