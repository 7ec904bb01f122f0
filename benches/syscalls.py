#!/usr/bin/env python3
"""Sets what tracing system calls costs side by side: rec, perf, strace, bpftrace.

Prints Markdown tables of

- calls: what tracing adds to each call of benches/calls.c, which reads 64 bytes
  from /dev/zero again and again, and how large the file is per call. The time
  while traced is set against the same process before and after. A tracer that
  drops most calls is not comparable: the share that it recorded stands beside;
- redis: requests per second of redis-server under redis-benchmark while it is
  recorded, in percent of the runs just before and after without.

Rounds go through all tracers in turn, so that a drift of the machine meets
them alike. Each figure is the median with the range of all rounds.
"""

import argparse
import os
import select
import statistics
import subprocess
import tempfile
from dataclasses import dataclass

import redis_load
from attached import FAILURES, Attached, Outcome, told_by_rec
from machine import BENCH_PROGRAMS, REC, describe, prepare
from measure import spread
from tracers import Tracer, tracers

# How long the traced calls may take.
CALLS_S = 300


def main() -> None:
    options = parse_options()
    prepare()
    describe(options.rec)
    if options.only != "redis":
        compare_calls(options)
    if options.only != "calls":
        redis_load.compare(options)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  sudo benches/syscalls.py
  sudo benches/syscalls.py --only calls --tracer "rec --syscalls" --tracer "strace -f"
  sudo benches/syscalls.py --rounds 1 --calls 200000 --requests 20000    does it work at all?""")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each table (5)")
    parser.add_argument("--calls", type=int, default=4_000_000, metavar="N",
                        help="calls of a round; slow tracers get a part (4000000)")
    parser.add_argument("--requests", type=int, default=200_000, metavar="N",
                        help="redis requests of each kind in a round; strace gets a tenth (200000)")
    parser.add_argument("--tracer", action="append", metavar="NAME",
                        help="only this one, as it is named in the tables; may be repeated")
    parser.add_argument("--rec", default=REC, help="the rec to run")
    parser.add_argument("--only", choices=["calls", "redis"], help="just one of the tables")
    return parser.parse_args()


class Caller:
    """The program calls, which does system calls when asked."""

    def __enter__(self):
        program = os.path.join(BENCH_PROGRAMS, "calls")
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ns_per_call(self, calls: int) -> float:
        """Wall time of a call, in the mean of `calls`."""
        self._process.stdin.write(f"{calls}\n")
        if not select.select([self._process.stdout], [], [], CALLS_S)[0]:
            raise RuntimeError(f"{calls} calls took more than {CALLS_S} s")
        return int(self._process.stdout.readline()) / calls


@dataclass
class Traced:
    """A loop of calls, traced and not."""

    untraced_ns: float
    traced_ns: float
    # Done while traced.
    calls: int
    # Of them in the tracer's output.
    recorded: int | None
    outcome: Outcome

    @property
    def added_ns(self) -> float:
        """What tracing adds to a call."""
        return self.traced_ns - self.untraced_ns


def trace_calls(tracer: Tracer, calls: int) -> Traced:
    """One loop of calls under a tracer, between two without."""
    part = max(calls // tracer.part, 1)
    with Caller() as caller, tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        output = os.path.join(folder, "output")
        before = caller.ns_per_call(calls)
        with Attached(tracer.command(caller.pid, output), output) as attached:
            attached.wait_until_recording(by_file=tracer.name.startswith("rec "))
            traced = caller.ns_per_call(part)
            outcome = attached.finish()
        after = caller.ns_per_call(calls)
        recorded = tracer.calls(output, outcome.log)
    return Traced((before + after) / 2, traced, part, recorded, outcome)


def find_runnable(options: argparse.Namespace) -> list[Tracer]:
    runnable = []
    for tracer in tracers(options.rec):
        if options.tracer and tracer.name not in options.tracer:
            continue
        if tracer.skip:
            print(f"skipped: {tracer.name}: {tracer.skip}", flush=True)
        else:
            runnable.append(tracer)
    return runnable


def compare_calls(options: argparse.Namespace) -> None:
    runnable = find_runnable(options)
    found: dict[str, list[Traced]] = {tracer.name: [] for tracer in runnable}
    failures: dict[str, str] = {}
    for _ in range(options.rounds):
        for tracer in runnable:
            try:
                found[tracer.name].append(trace_calls(tracer, options.calls))
            except FAILURES as error:
                failures[tracer.name] = str(error)
    print(f"\nSystem calls, up to {options.calls} in a loop, {options.rounds} rounds: "
          "median (min to max)\n")
    print("| tracer | untraced, ns per call | traced, ns per call | added, ns per call "
          "| added, relative to the first | traced relative to untraced | calls recorded | bytes per recorded call "
          "| CPU of the tracer, ns per call | rec's own words, last round |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    first = None
    for tracer in runnable:
        runs = found[tracer.name]
        if runs:
            first = first or statistics.median(run.added_ns for run in runs)
            print_calls(tracer, runs, first)
    for name, failure in failures.items():
        print(f"\nfailed: {name}: {failure}")


def print_calls(tracer: Tracer, runs: list[Traced], first_ns: float) -> None:
    whole = "{:.0f}".format
    print(f"| {tracer.name} | {spread((run.untraced_ns for run in runs), whole)} "
          f"| {spread((run.traced_ns for run in runs), whole)} "
          f"| {spread((run.added_ns for run in runs), whole)} "
          f"| {statistics.median(run.added_ns for run in runs) / first_ns:.2f} "
          f"| {spread((run.traced_ns / run.untraced_ns for run in runs), '{:.2f}'.format)} "
          f"| {share_recorded(runs)} | {bytes_per_call(tracer, runs)} "
          f"| {spread((run.outcome.cpu_s * 1e9 / run.calls for run in runs), whole)} "
          f"| {told_by_rec(runs[-1].outcome.log) or '–'} |", flush=True)


def share_recorded(runs: list[Traced]) -> str:
    if any(run.recorded is None for run in runs):
        return "not told"
    # The few calls around the loop are no part of it, so this may be more.
    return spread((min(run.recorded / run.calls, 1) for run in runs), "{:.1%}".format)


def bytes_per_call(tracer: Tracer, runs: list[Traced]) -> str:
    if tracer.summary or not all(run.recorded for run in runs):
        return f"– ({statistics.median(run.outcome.file_bytes for run in runs):.0f} bytes in all)"
    return spread((run.outcome.file_bytes / run.recorded for run in runs), "{:.1f}".format)


if __name__ == "__main__":
    main()
