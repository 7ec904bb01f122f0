#!/usr/bin/env python3
"""How often `report --diff` cries wolf, and how often it finds what is there.

Records benches/planted.c, which serves requests, many times: as it is, and with
one function slowed down by 1, 2, 5 and 10 % of a request's time. Then compares

- pairs of recordings of the same program (A/A): every change that is called one
  is a false alarm, and the promise is that at most --fdr of the pairs has any;
- pairs of which one has the slow-down: how often it is found, how often the
  slowed function is named first, and what the report said it could have shown;
- the same with several runs on each side;
- the same where the time is spent in a leaf that all functions share, or have inlined,
  and none of the functions has any of its own: then it is the slowed function with all
  that it calls that has to be found.

Pairs share recordings, so they are not independent of each other.
"""

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import tempfile
from dataclasses import dataclass

from machine import BENCH_PROGRAMS, REC, describe, prepare

PLANTED = "handle_body"
# What has nothing to do with it.
OTHERS = {"read_request", "parse_method", "parse_headers", "check_session", "find_route",
          "decode_body", "query_cache", "render_header", "render_page", "compress_page",
          "write_log", "parse", "answer"}
SLOW_DOWNS = [1, 2, 5, 10]


@dataclass
class Run:
    """A recording, and how many requests were served meanwhile."""

    path: str
    requests: int


@dataclass
class Verdict:
    """What a comparison says."""

    alarms: list[str]
    # The place that the report begins with.
    first: str
    total_alarm: bool
    # What could have been shown, in percent of what it was before.
    smallest_of_total: float
    smallest_of_planted: float


def record(options: argparse.Namespace, folder: str, name: str, percent: int) -> Run:
    path = os.path.join(folder, name + ".rz")
    program = os.path.join(BENCH_PROGRAMS, "planted")
    program += "-inlined" if options.leaf == "inlined" else ""
    command = [options.rec, "-q", "-F", str(options.hz), "-o", path, "--", program,
               str(options.seconds), str(percent), "2", options.leaf]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Run(path, int(done.stdout))


def compare(options: argparse.Namespace, per: str, before: list[Run],
            after: list[Run]) -> Verdict:
    work = list(itertools.chain(*(["--work", str(run.requests)] for run in [*before, *after])))
    command = [os.path.join(os.path.dirname(options.rec), "report"), "--diff",
               *(run.path for run in before), "--against", *(run.path for run in after),
               *(work if per == "work" else []), "--per", per,
               "--fdr", f"{options.fdr}", "--by", options.by, "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    diff = json.loads(done.stdout)
    sort = "self" if options.by == "self" else "total"
    alarms = [row["name"] for row in diff["functions"]
              if row[sort]["verdict"] != "no evidence"]
    places = [place["text"] for place in diff["what_changed"]]
    total = diff["total"]
    planted = next(row[sort] for row in diff["functions"] if row["name"] == PLANTED)
    return Verdict(alarms, places[0] if places else "", total["verdict"] != "no evidence",
                   smallest_percent(total), smallest_percent(planted))


def smallest_percent(change: dict) -> float:
    """The smallest change that could have been shown, in percent."""
    return 100 * (change["detectable"] or float("nan")) / change["before"]


def table(options: argparse.Namespace, same: list[Run], slow: dict[int, list[Run]],
          per: str, group: int) -> None:
    """Prints what comparisons of `group` runs with `group` others say."""
    chance = random.Random(1)

    def sides(runs: list[Run]) -> tuple[list[Run], list[Run]]:
        """Runs of the program as it is, and others from `runs`."""
        first = chance.sample(same, group)
        others = [run for run in runs if run not in first]
        return first, chance.sample(others, group)

    print(f"\n{group} against {group} runs, {options.pairs} comparisons per line, per {per}, "
          f"leaf {options.leaf}, by {options.by}, --fdr {options.fdr:g}\n")
    print("| slow-down | any change claimed | of the total | of the slowed function | "
          "named first | others claimed | could be shown: of the total | of the slowed function |")
    print("|---|---|---|---|---|---|---|---|")
    for percent, runs in {0: same, **slow}.items():
        found = [compare(options, per, *sides(runs)) for _ in range(options.pairs)]
        any_alarm = sum(bool(one.alarms or one.first) for one in found)
        others = sum(bool(OTHERS & set(one.alarms)) for one in found)
        share = [f"{100 * part / len(found):.0f} %" for part in (
            any_alarm,
            sum(one.total_alarm for one in found),
            sum(PLANTED in one.alarms for one in found),
            sum(one.first.startswith(PLANTED) for one in found),
            others)]
        smallest = [statistics.median(one.smallest_of_total for one in found),
                    statistics.median(one.smallest_of_planted for one in found)]
        shown = " | ".join(f"{percent:.1f} %" for percent in smallest)
        label = "none (A/A)" if percent == 0 else f"{percent} %"
        print(f"| {label} | {' | '.join(share)} | {shown} |", flush=True)


def main() -> None:
    options = parse_options()
    prepare()
    describe(options.rec)
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        same, slow = [], {percent: [] for percent in SLOW_DOWNS}
        # In turn, so that a drift of the machine meets all alike.
        for i in range(options.runs):
            same.append(record(options, folder, f"same-{i}", 0))
            for percent, runs in slow.items():
                if i < (options.runs + 1) // 2:
                    runs.append(record(options, folder, f"slow-{percent}-{i}", percent))
        for per, group in itertools.product(options.per, options.group):
            table(options, same, slow, per, group)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  benches/false_alarms.py
  benches/false_alarms.py --leaf shared          what changed is in a leaf that all call
  benches/false_alarms.py --runs 40 --seconds 5 --per work --group 1 --group 5
  benches/false_alarms.py --runs 4 --seconds 0.5 --pairs 3 --group 1    does it work at all?""")
    parser.add_argument("--runs", type=int, default=30, metavar="N",
                        help="recordings of the program as it is; half as many of each other (30)")
    parser.add_argument("--seconds", type=float, default=2, help="of each recording (2)")
    parser.add_argument("--hz", type=int, default=997, help="samples per second (997)")
    parser.add_argument("--pairs", type=int, default=100, metavar="N",
                        help="comparisons per line (100)")
    parser.add_argument("--group", type=int, action="append", metavar="N",
                        help="runs on each side; may be repeated (1 and 5)")
    parser.add_argument("--per", action="append",
                        help="as for report --diff; may be repeated (wall and work)")
    parser.add_argument("--by", choices=["self", "total"],
                        help="as for report --diff (self; with --leaf, total)")
    parser.add_argument("--leaf", default="own", choices=["own", "shared", "inlined"],
                        help="where functions spend their time: in themselves, in one that "
                             "all call, or in one that all have inlined (own)")
    parser.add_argument("--fdr", type=float, default=5, help="as for report --diff, in percent (5)")
    parser.add_argument("--rec", default=REC, help="the rec to run, beside its report")
    options = parser.parse_args()
    options.by = options.by or ("self" if options.leaf == "own" else "total")
    options.group = options.group or [1, 5]
    options.per = options.per or ["wall", "work"]
    return options


if __name__ == "__main__":
    main()
