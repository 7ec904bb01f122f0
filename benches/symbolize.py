#!/usr/bin/env python3
"""Sets rz against addr2line, llvm-symbolizer, perf script and samply: how long
it takes to name addresses of a program with over 200 MB of debug information,
and how much memory.

The program is made once, by large_program.py. Prints two Markdown tables:

- the same addresses, spread over all of its functions, with all inlined calls
  and lines; rz (profile/examples/symbolize_speed.rs) with nothing kept, and
  with the names that it has kept in its cache; samply by the server that its
  page asks for names (samply_names.py), started for that;
- a recording of the program by perf, which perf script gives names to: time
  per distinct address tells, as there are fewer of them.

The program's pages are in memory in all runs. Each figure is the median with
the range of all rounds.
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

from large_program import build, debug_bytes
from machine import BENCH_PROGRAMS, REC, ROOT, describe, prepare
from measure import spread
from recorders import find_samply

SPEED = os.path.join(ROOT, "target/release/examples/symbolize_speed")


@dataclass
class Tool:
    """A command that names addresses, and what it took."""

    name: str
    command: list[str]
    seconds: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    # Run before each round, such as to empty a cache.
    before: list[str] = field(default_factory=list)
    skip: str = ""


def run(tool: Tool, stdin: str, timeout: float) -> None:
    """Runs a tool once; one that takes too long is skipped from then on."""
    if tool.before:
        subprocess.run(tool.before, check=True)
    with open(stdin) as addresses, tempfile.NamedTemporaryFile("r") as used:
        command = [os.path.join(BENCH_PROGRAMS, "rusage"), used.name, *tool.command]
        started = time.monotonic()
        # A group of its own, so that what is given up ends as a whole.
        process = subprocess.Popen(command, stdin=addresses, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, start_new_session=True)
        try:
            _, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            tool.skip = f"more than {timeout:g} s"
            return
        seconds = time.monotonic() - started
        _, kib, code = used.read().split()
    if int(code) != 0:
        tool.skip = errors.decode(errors="replace").strip().splitlines()[-1]
        return
    tool.seconds.append(seconds)
    tool.peak_mib.append(float(kib) / 1024)


def table(tools: list[Tool], addresses: int, stdin: str, options: argparse.Namespace) -> None:
    for _ in range(options.rounds):
        for tool in tools:
            if not tool.skip:
                run(tool, stdin, options.timeout)
    print("| tool | s | µs per address | peak memory, MiB |")
    print("|---|---|---|---|")
    for tool in tools:
        if tool.skip or not tool.seconds:
            print(f"| {tool.name} | {tool.skip} | | |", flush=True)
            continue
        seconds = spread(tool.seconds, "{:.2f}".format)
        each = 1e6 * statistics.median(tool.seconds) / addresses
        print(f"| {tool.name} | {seconds} | {each:.1f} | "
              f"{statistics.median(tool.peak_mib):.0f} |", flush=True)


def record(program: str, folder: str, options: argparse.Namespace) -> str:
    """A recording of the program by perf."""
    data = os.path.join(folder, "perf.data")
    subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-g", "-o", data,
                    program, str(options.repeat)], stdout=subprocess.DEVNULL, check=True)
    return data


def samply_tool(program: str, data: str, folder: str) -> Tool:
    samply = find_samply()
    profile = os.path.join(folder, "profile.json")
    if samply:
        subprocess.run([samply, "import", "--save-only", "-o", profile, data], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    script = os.path.join(os.path.dirname(__file__), "samply_names.py")
    return Tool("samply", [sys.executable, script, samply or "samply", profile, program],
                skip="" if samply else "samply is not installed")


def compare_addresses(program: str, data: str, folder: str, options: argparse.Namespace) -> None:
    count = str(options.addresses)
    addresses = os.path.join(folder, "addresses")
    listed = subprocess.run([SPEED, "list", program, count], capture_output=True, text=True,
                            check=True).stdout
    with open(addresses, "w") as file:
        file.write(listed)
    cache = os.path.join(folder, "cache")
    tools = [
        Tool("rz, nothing kept", [SPEED, "name", program, cache], before=["rm", "-rf", cache]),
        Tool("rz, names kept", [SPEED, "name", program, cache]),
        Tool("llvm-symbolizer", ["llvm-symbolizer-14", "--inlines", "-e", program]),
        Tool("addr2line", ["addr2line", "-a", "-f", "-i", "-C", "-e", program]),
        samply_tool(program, data, folder),
    ]
    for tool in tools:
        if not os.path.exists(tool.command[0]) and not shutil.which(tool.command[0]):
            tool.skip = f"{tool.command[0]} is not installed"
    number = listed.count("\n")
    print(f"\n{number} addresses, {options.rounds} rounds: median (min to max)\n")
    table(tools, number, addresses, options)


def compare_recording(data: str, options: argparse.Namespace) -> None:
    plain = subprocess.run(["perf", "script", "-i", data, "-F", "ip"], capture_output=True,
                           text=True, check=True).stdout
    number = len(set(plain.split()))
    tools = [
        Tool("perf script, with inlines",
             ["perf", "script", "-i", data, "--inline", "-F", "ip,sym,srcline"]),
        Tool("perf script, no inlines or lines",
             ["perf", "script", "-i", data, "--no-inline", "-F", "ip,sym"]),
    ]
    print(f"\nA recording of {number} distinct addresses, {options.rounds} rounds\n")
    table(tools, number, os.devnull, options)


def main() -> int:
    options = parse_options()
    if not os.path.exists(SPEED):
        print(f"{SPEED} is missing: cargo build --release -p rz-profile --example "
              "symbolize_speed", file=sys.stderr)
        return 1
    prepare()
    program = build()
    describe(options.rec)
    print(f"program: {debug_bytes(program) / 1e6:.0f} MB of debug information")
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        data = record(program, folder, options)
        compare_addresses(program, data, folder, options)
        compare_recording(data, options)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  benches/symbolize.py
  benches/symbolize.py --rounds 1 --addresses 500 --timeout 20    does it work at all?""")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each table (5)")
    parser.add_argument("--addresses", type=int, default=20_000, metavar="N",
                        help="addresses to name (20000)")
    parser.add_argument("--repeat", type=int, default=50, metavar="N",
                        help="how often the recorded program does its work (50)")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS",
                        help="what takes longer is given up (600)")
    parser.add_argument("--rec", default=REC, help="named in the description of the machine")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
