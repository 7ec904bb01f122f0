#!/usr/bin/env python3
"""Sets rec against perf and samply, side by side, on one program.

The program, tests/programs/deep20.c, has two threads that are always busy, 20
functions deep and compiled without frame pointers. Each recorder attaches to
it while it runs. Prints Markdown tables of

- cost: CPU time of the recorder per sample (start-up and writing included),
  its peak memory, and the size of its file per sample;
- slowdown: how much less the program gets done while it is recorded.

Rounds go through all recorders in turn, so that a drift of the machine meets
them alike. Each figure is the median with the range of all rounds.
"""

import argparse
import os
import platform
import shlex
import statistics
import subprocess
import sys

from measure import cost, slowdown, spread
from recorders import ROOT, paranoid, recorders


def main():
    options = parse_options()
    prepare()
    before = paranoid()
    if options.allow_sysctl and before > 1:
        set_paranoid(1)
    try:
        print_machine()
        runnable = []
        for recorder in recorders(options.rec):
            if options.recorder and recorder.name not in options.recorder:
                continue
            if recorder.skip:
                print(f"skipped: {recorder.name}: {recorder.skip}")
            else:
                runnable.append(recorder)
        if options.only != "slowdown":
            compare_cost(runnable, options)
        if options.only != "cost":
            for hz in options.slowdown_hz:
                compare_slowdown(runnable, hz, options)
    finally:
        if options.allow_sysctl and paranoid() != before:
            set_paranoid(before)


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each table (5)")
    parser.add_argument("--seconds", type=float, default=5, help="length of a recording (5)")
    parser.add_argument("--hz", type=int, default=997, help="the rate for the cost (997)")
    parser.add_argument("--slowdown-hz", type=int, nargs="+", default=[99, 997], metavar="HZ",
                        help="the rates for the slowdown (99 997)")
    parser.add_argument("--recorder", action="append", metavar="NAME",
                        help="only this one, as it is named in the tables; may be repeated")
    parser.add_argument("--rec", default=os.path.join(ROOT, "target/dist/rec"), help="the rec to run")
    parser.add_argument("--only", choices=["cost", "slowdown"], help="just one of the tables")
    parser.add_argument("--allow-sysctl", action="store_true",
                        help="lower kernel.perf_event_paranoid to 1 for the run (samply asks for "
                             "it, as root too), and put it back")
    return parser.parse_args()


def prepare():
    programs = os.path.join(ROOT, "tests/programs")
    subprocess.run(["make", "--silent", "-C", programs], check=True)
    source = os.path.join(ROOT, "benches/rusage.c")
    binary = os.path.join(ROOT, "target/programs/rusage")
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", binary, source], check=True)


def set_paranoid(level):
    subprocess.run(["sysctl", "-q", "-w", f"kernel.perf_event_paranoid={level}"], check=True)


def print_machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")),
                     platform.machine())
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                            capture_output=True, text=True).stdout.strip()
    print(f"machine: {model}, {os.cpu_count()} CPUs")
    print(f"kernel: {platform.release()}, perf_event_paranoid {paranoid()}, "
          f"load {os.getloadavg()[0]:.1f} at the start")
    print(f"commit: {commit}")
    print(f"command: {shlex.join(['benches/compare.py', *sys.argv[1:]])}", flush=True)


def compare_cost(runnable, options):
    costs = {recorder.name: [] for recorder in runnable}
    for _ in range(options.rounds):
        for recorder in runnable:
            costs[recorder.name].append(cost(recorder, options.hz, options.seconds))
    print(f"\nCost at {options.hz} Hz, attached for {options.seconds:g} s, "
          f"{options.rounds} rounds: median (min to max)\n")
    print("| recorder | samples | CPU per sample, µs | relative to the first | peak memory, MiB | bytes per sample |")
    print("|---|---|---|---|---|---|")
    first = None
    for name, runs in costs.items():
        cpu = [run.cpu_s * 1e6 / run.samples for run in runs]
        first = first or statistics.median(cpu)
        print(f"| {name} | {statistics.median(run.samples for run in runs):.0f} "
              f"| {spread(cpu, '{:.1f}'.format)} | {statistics.median(cpu) / first:.2f} "
              f"| {spread((run.peak_kib / 1024 for run in runs), '{:.1f}'.format)} "
              f"| {spread((run.file_bytes / run.samples for run in runs), '{:.1f}'.format)} |",
              flush=True)


def compare_slowdown(runnable, hz, options):
    rows = [("none (noise of the machine)", None)] + [(each.name, each) for each in runnable]
    found = {name: [] for name, _ in rows}
    for _ in range(options.rounds):
        for name, recorder in rows:
            found[name].append(slowdown(recorder, hz, options.seconds))
    print(f"\nSlowdown of the target at {hz} Hz, {options.rounds} rounds: median (min to max)\n")
    print("| recorder | slowdown |")
    print("|---|---|")
    for name, values in found.items():
        print(f"| {name} | {spread(values, '{:+.2%}'.format)} |", flush=True)


if __name__ == "__main__":
    main()
