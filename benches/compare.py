#!/usr/bin/env python3
"""Sets rec against perf and samply, side by side, on one program.

The program, tests/programs/deep20.c, has two threads that are always busy, 20
functions deep (--deep) and compiled without frame pointers. Each recorder
attaches to it while it runs. Prints Markdown tables of

- cost: CPU time of the recorder per sample (start-up and writing included),
  that of its bpf programs, which run in the kernel for others, its peak memory,
  and the size of its file per sample. What perf's and samply's samples cost in
  the kernel is in no column: the kernel does not tell;
- steady state: the same of what a recording three times as long costs more;
- slowdown: how much less the program gets done while it is recorded.

Rounds go through all recorders in turn, so that a drift of the machine meets
them alike. Each figure is the median with the range of all rounds.
"""

import argparse
import statistics

from machine import REC, describe, paranoid, prepare, sysctls
from measure import cost, slowdown, spread
from recorders import recorders


def main():
    options = parse_options()
    prepare()
    allowed = options.allow_sysctl
    with sysctls({"kernel.perf_event_paranoid": min(1, paranoid())} if allowed else {}):
        describe(options.rec)
        runnable = find_runnable(options)
        # Not for the slowdown: taking the time of programs makes them slower.
        with sysctls({"kernel.bpf_stats_enabled": 1} if allowed else {}):
            if options.only in (None, "cost"):
                compare_cost(runnable, options)
            if options.only in (None, "steady"):
                compare_steady(runnable, options)
        if options.only in (None, "slowdown"):
            for hz in options.slowdown_hz:
                compare_slowdown(runnable, hz, options)


def find_runnable(options):
    runnable = []
    for recorder in recorders(options.rec):
        if options.recorder and recorder.name not in options.recorder:
            continue
        if recorder.skip:
            print(f"skipped: {recorder.name}: {recorder.skip}")
        else:
            runnable.append(recorder)
    return runnable


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  sudo benches/compare.py --allow-sysctl
  sudo benches/compare.py --allow-sysctl --only cost --recorder rec --recorder "rec --tier perf"
  benches/compare.py --rounds 1 --seconds 1 --slowdown-hz 99    does it work at all?""")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each table (5)")
    parser.add_argument("--seconds", type=float, default=5, help="length of a recording (5)")
    parser.add_argument("--deep", type=int, default=20, choices=range(20, 101, 20), metavar="N",
                        help="functions of the program's stacks, for the cost: 20 (default), "
                             "40, 60, 80 or 100")
    parser.add_argument("--hz", type=int, default=997, help="the rate for the cost (997)")
    parser.add_argument("--slowdown-hz", type=int, nargs="+", default=[99, 997], metavar="HZ",
                        help="the rates for the slowdown (99 997)")
    parser.add_argument("--recorder", action="append", metavar="NAME",
                        help="only this one, as it is named in the tables; may be repeated")
    parser.add_argument("--rec", default=REC, help="the rec to run")
    parser.add_argument("--only", choices=["cost", "steady", "slowdown"],
                        help="just one of the tables")
    parser.add_argument("--allow-sysctl", action="store_true",
                        help="lower kernel.perf_event_paranoid to 1 (samply asks for it, as root "
                             "too) and, for the cost, set kernel.bpf_stats_enabled to 1, "
                             "and put both back")
    return parser.parse_args()


def compare_cost(runnable, options):
    costs = {recorder.name: [] for recorder in runnable}
    for _ in range(options.rounds):
        for recorder in runnable:
            costs[recorder.name].append(cost(recorder, options.hz, options.seconds,
                                             options.deep))
    print(f"\nCost at {options.hz} Hz, attached for {options.seconds:g} s, "
          f"{options.deep} functions deep, {options.rounds} rounds: median (min to max)\n")
    print("| recorder | samples | CPU of the recorder per sample, µs "
          "| of its bpf programs per sample, µs | both, relative to the first "
          "| peak memory, MiB | bytes per sample |")
    print("|---|---|---|---|---|---|---|")
    first = None
    for name, runs in costs.items():
        both = statistics.median((run.cpu_s + (run.bpf_s or 0)) / run.samples for run in runs)
        first = first or both
        print(f"| {name} | {statistics.median(run.samples for run in runs):.0f} "
              f"| {spread((run.cpu_s * 1e6 / run.samples for run in runs), '{:.1f}'.format)} "
              f"| {spread_of_bpf(runs)} | {both / first:.2f} "
              f"| {spread((run.peak_kib / 1024 for run in runs), '{:.1f}'.format)} "
              f"| {spread((run.file_bytes / run.samples for run in runs), '{:.1f}'.format)} |",
              flush=True)
    if any(run.bpf_s is None for runs in costs.values() for run in runs):
        print("\nThe time of bpf programs was not taken: see --allow-sysctl.")


def compare_steady(runnable, options):
    seconds = [options.seconds, 3 * options.seconds]
    costs = {recorder.name: [] for recorder in runnable}
    for _ in range(options.rounds):
        for recorder in runnable:
            short, long = (cost(recorder, options.hz, each, options.deep) for each in seconds)
            samples = long.samples - short.samples
            used = long.cpu_s + (long.bpf_s or 0) - short.cpu_s - (short.bpf_s or 0)
            costs[recorder.name].append(used / samples)
    print(f"\nCost in steady state, {seconds[1]:g} s less {seconds[0]:g} s at {options.hz} Hz, "
          f"{options.deep} functions deep, {options.rounds} rounds: median (min to max)\n")
    print("| recorder | CPU of the recorder and its bpf programs per sample, µs "
          "| relative to the first |")
    print("|---|---|---|")
    first = None
    for name, runs in costs.items():
        median = statistics.median(runs)
        first = first or median
        print(f"| {name} | {spread((run * 1e6 for run in runs), '{:.1f}'.format)} "
              f"| {median / first:.2f} |", flush=True)


def spread_of_bpf(runs):
    """Time of bpf programs per sample; none where there are no programs, as in perf."""
    if not all(run.bpf_s for run in runs):
        return "–"
    return spread((run.bpf_s * 1e6 / run.samples for run in runs), "{:.1f}".format)


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
