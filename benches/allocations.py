#!/usr/bin/env python3
"""Sets what recording allocations costs side by side: rec, heaptrack, jemalloc's profiler.

Prints Markdown tables of

- pairs: what recording adds to each malloc and free of benches/pairs.c, 2 to 17
  calls deep, and how large the file is per event;
- programs: wall time of whole runs of sqlite3, g++ with its child processes,
  its compiler alone, and redis-server under load, which start-up and end
  of the recorder are part of.

Recorders start the program; runs without a recorder stand before and after
each. Rounds go through all recorders in turn, so that a drift of the machine
meets them alike. Each figure is the median with the range of all rounds.
"""

import argparse
import glob
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from machine import BENCH_PROGRAMS, PROGRAMS, REC, ROOT, describe, missing, missing_rec, prepare
from measure import spread

# How long a run may take.
RUN_S = 600
JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"


@dataclass
class Recorder:
    """One way to record a program from its start.

    `command(output)` comes before the program's own command line; with
    `variables(output)` in its environment.
    """

    name: str
    command: Callable[[str], list[str]]
    variables: Callable[[str], dict[str, str]] = lambda _output: {}
    skip: str = ""
    follows: bool = True


def recorders(rec: str) -> list[Recorder]:
    """All recorders, in the order of the tables."""
    own, heaptrack = missing_rec(rec), missing("heaptrack")

    def ours(*options: str) -> Callable[[str], list[str]]:
        return lambda output: [rec, "-q", *options, "-o", output, "--"]

    jemalloc = "" if os.path.exists(JEMALLOC) else "libjemalloc2 is not installed"
    return [
        Recorder("none", lambda _output: []),
        Recorder("rec --alloc", ours("--alloc"), skip=own),
        Recorder("rec --alloc=full", ours("--alloc=full"), skip=own),
        Recorder("rec, samples of CPU time only", ours(), skip=own),
        Recorder("heaptrack", lambda output: ["heaptrack", "-o", output],
                 skip=heaptrack, follows=False),
        Recorder("jemalloc, not profiling", lambda _output: [],
                 lambda _output: {"LD_PRELOAD": JEMALLOC}, skip=jemalloc),
        Recorder("jemalloc, profiling 512 KiB", lambda _output: [],
                 lambda output: {"LD_PRELOAD": JEMALLOC,
                                 "MALLOC_CONF": f"prof:true,lg_prof_sample:19,prof_prefix:{output}"},
                 skip=jemalloc),
    ]


@dataclass
class Program:
    """Something to run; `command(recorder)` has it recorded by that command."""

    name: str
    command: Callable[[list[str]], list[str]]
    has_children: bool = False


def direct(name: str, *command: str, has_children: bool = False) -> Program:
    """A program that the recorder starts."""
    return Program(name, lambda recorder: [*recorder, *command], has_children)


@dataclass
class Run:
    """One run of a program."""

    seconds: float
    stdout: str
    stderr: str
    file_bytes: int
    output: str


def run(recorder: Recorder, program: "Program", folder: str) -> Run:
    """Runs a program under a recorder; its files stay until the folder goes."""
    output = os.path.join(folder, "output")
    for old in glob.glob(output + "*"):
        os.remove(old)
    environment = {**os.environ, **recorder.variables(output)}
    start = time.monotonic()
    done = subprocess.run(program.command(recorder.command(output)), capture_output=True,
                          text=True, timeout=RUN_S, env=environment, cwd=folder)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        raise RuntimeError(f"{recorder.name}: {program.name} failed: {done.stderr.strip()[-300:]}")
    files = glob.glob(output + "*")
    size = sum(os.path.getsize(file) for file in files)
    return Run(seconds, done.stdout, done.stderr, size, files[0] if files else "")


def main() -> None:
    options = parse_options()
    prepare()
    describe(options.rec)
    chosen = []
    for recorder in recorders(options.rec):
        if options.recorder and recorder.name not in [*options.recorder, "none"]:
            continue
        if recorder.skip:
            print(f"skipped: {recorder.name}: {recorder.skip}", flush=True)
        else:
            chosen.append(recorder)
    if options.only != "programs":
        compare_pairs(options, chosen)
    if options.only != "pairs":
        compare_programs(options, chosen)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  benches/allocations.py
  benches/allocations.py --only pairs --recorder "rec --alloc=full" --recorder heaptrack
  benches/allocations.py --rounds 1 --pairs 100000 --quick    does it work at all?""")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each table (5)")
    parser.add_argument("--pairs", type=int, default=5_000_000, metavar="N",
                        help="pairs of malloc and free in a run (5000000)")
    parser.add_argument("--quick", action="store_true", help="tiny programs")
    parser.add_argument("--recorder", action="append", metavar="NAME",
                        help="only this one, as it is named in the tables; may be repeated")
    parser.add_argument("--rec", default=REC, help="the rec to run")
    parser.add_argument("--only", choices=["pairs", "programs"], help="just one of the tables")
    return parser.parse_args()


def lost(rec: str, output: str) -> str:
    """What a trace says is missing of allocations."""
    report = subprocess.run([os.path.join(os.path.dirname(rec), "report"), output],
                            capture_output=True, text=True).stdout
    found = re.search(r"^ +lost +(.*)$", report, re.M)
    return found.group(1) if found else "not told"


def compare_pairs(options: argparse.Namespace, chosen: list[Recorder]) -> None:
    program = direct("pairs", os.path.join(BENCH_PROGRAMS, "pairs"), str(options.pairs))
    ns: dict[str, list[float]] = {recorder.name: [] for recorder in chosen}
    sizes: dict[str, list[float]] = {recorder.name: [] for recorder in chosen}
    losses: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        for _ in range(options.rounds):
            for recorder in chosen:
                done = run(recorder, program, folder)
                per_pair = next(line for line in done.stdout.splitlines()
                                if re.fullmatch(r"[\d.]+ \d+", line))
                ns[recorder.name].append(float(per_pair.split()[0]))
                sizes[recorder.name].append(done.file_bytes / (2 * options.pairs))
                if recorder.name.startswith("rec"):
                    losses[recorder.name] = lost(options.rec, done.output)
    none = statistics.median(ns["none"])
    print(f"\n{options.pairs} pairs of malloc and free, {options.rounds} rounds: "
          "median (min to max)\n")
    print("| recorder | ns per pair | added | bytes of file per event | lost, last round |")
    print("|---|---|---|---|---|")
    for recorder in chosen:
        times, size = ns[recorder.name], sizes[recorder.name]
        print(f"| {recorder.name} | {spread(times, '{:.1f}'.format)} "
              f"| {spread((time - none for time in times), '{:+.1f}'.format)} "
              f"| {spread(size, '{:.2f}'.format)} "
              f"| {losses.get(recorder.name, '–')} |", flush=True)


def sqlite_script(rows: int) -> str:
    return f"""
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows})
insert into t select i, printf('row %d of the table', i * 7919 % {rows}), i / 3.0 from n;
create index b on t(b);
select count(*), sum(c) from t where b like '%9%';
select b, group_concat(a) from t group by substr(b, 1, 6) order by 1 limit 5;
"""


def cpp_source(functions: int) -> str:
    """Functions that instantiate templates of their own."""
    includes = "".join(f"#include <{name}>\n" for name in ["algorithm", "map", "vector"])
    return includes + "".join(f"""
int f{i}() {{
    struct T {{ int x; }};
    std::map<int, T> map;
    map[{i}] = T{{1}};
    std::vector<T> all(3);
    all.push_back(map[{i}]);
    std::sort(all.begin(), all.end(), [](T a, T b) {{ return a.x < b.x; }});
    return all[0].x;
}}
""" for i in range(functions))


def programs(options: argparse.Namespace, folder: str) -> list[Program]:
    """Programs to run."""
    scale = 10 if options.quick else 1
    script, source = os.path.join(folder, "script.sql"), os.path.join(folder, "source.cpp")
    with open(script, "w") as file:
        file.write(sqlite_script(4_000_000 // scale))
    with open(source, "w") as file:
        file.write(cpp_source(50 // scale))

    def from_gcc(question: str) -> str:
        return subprocess.run(["g++", question], capture_output=True, text=True,
                              check=True).stdout.strip()

    compiler = [from_gcc("-print-prog-name=cc1plus"), "-quiet"]
    compiler += ["-imultiarch", from_gcc("-print-multiarch")]
    return [
        direct("sqlite3", "sqlite3", ":memory:", f".read {script}"),
        direct("cc1plus", *compiler, "-O1", source, "-o", "source.s"),
        direct("g++", "g++", "-O1", "-c", "-o", "source.o", source, has_children=True),
        redis(folder, 500_000 // scale),
    ]


def redis(folder: str, requests: int) -> Program:
    """A server under load, from its start to its end."""
    socket, script = os.path.join(folder, "redis.sock"), os.path.join(folder, "redis.sh")
    with open(script, "w") as file:
        file.write(f"""set -e
"$@" redis-server --port 0 --unixsocket {socket} --save '' --appendonly no >/dev/null &
export LD_PRELOAD=
until redis-cli -s {socket} ping >/dev/null 2>&1; do sleep 0.02; done
redis-benchmark -s {socket} -q -t set,lpush,zadd,hset -n {requests} -r 100000 -P 16 >/dev/null
redis-cli -s {socket} shutdown nosave
wait
""")
    # Where there is no recorder, env just runs the server.
    return Program("redis", lambda recorder: ["sh", script, *(recorder or ["env"])])


def compare_programs(options: argparse.Namespace, chosen: list[Recorder]) -> None:
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        print(f"\nWall time of whole programs, {options.rounds} rounds: median (min to max), "
              "relative to none\n")
        print("| program | recorder | seconds | relative to none | file, KiB | lost, last round |")
        print("|---|---|---|---|---|---|")
        for program in programs(options, folder):
            able = [recorder for recorder in chosen if recorder.follows or not program.has_children]
            times: dict[str, list[float]] = {recorder.name: [] for recorder in able}
            ratios: dict[str, list[float]] = {recorder.name: [] for recorder in able}
            sizes: dict[str, list[float]] = {recorder.name: [] for recorder in able}
            losses: dict[str, str] = {}
            for _ in range(options.rounds):
                before = run(chosen[0], program, folder).seconds
                for recorder in able:
                    done = run(recorder, program, folder)
                    if recorder.name.startswith("rec"):
                        losses[recorder.name] = lost(options.rec, done.output)
                    after = run(chosen[0], program, folder).seconds
                    times[recorder.name].append(done.seconds)
                    ratios[recorder.name].append(done.seconds * 2 / (before + after))
                    sizes[recorder.name].append(done.file_bytes / 1024)
                    before = after
            for recorder in able:
                print(f"| {program.name} | {recorder.name} "
                      f"| {spread(times[recorder.name], '{:.2f}'.format)} "
                      f"| {spread(ratios[recorder.name], '{:.3f}'.format)} "
                      f"| {spread(sizes[recorder.name], '{:.0f}'.format)} "
                      f"| {losses.get(recorder.name, '–')} |", flush=True)


if __name__ == "__main__":
    main()
