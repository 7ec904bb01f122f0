#!/usr/bin/env python3
"""Prints all figures in one run, rec side by side with the others.

Runs, one after the other, compare.py (CPU samples: cost and slowdown),
syscalls.py (system calls, and redis under load), allocations.py (malloc and
free), attach.py (a process of very many threads), alloc_attach.py (allocations
of a running process), large.py (merging and comparing), importing.py (files of
other tools), page.py (the page, and speedscope), python.py (Python programs),
live.py (the view on a terminal), symbolize.py (names) and false_alarms.py (what
comparisons claim, and what they find). Each prints the machine, kernel and commit.
"""

import argparse
import os
import subprocess
import sys

from machine import REC, ROOT

# Short runs, which show no more than that all of it works.
QUICK = {
    "compare.py": ["--seconds", "1", "--slowdown-hz", "99"],
    "syscalls.py": ["--calls", "200000", "--requests", "20000"],
    "allocations.py": ["--pairs", "100000", "--quick"],
    "attach.py": ["--threads", "500", "--seconds", "1"],
    "alloc_attach.py": [],
    "called.py": [],
    "large.py": ["--samples", "10000"],
    "importing.py": ["--megabytes", "10"],
    "page.py": ["--rounds", "1", "--samples", "10000"],
    "false_alarms.py": ["--runs", "4", "--seconds", "0.5", "--pairs", "3", "--group", "1"],
    "python.py": ["--rounds", "1", "--seconds", "2", "--hz", "99"],
    "live.py": ["--seconds", "2"],
    "symbolize.py": ["--addresses", "500", "--repeat", "1", "--timeout", "60"],
}


def main() -> int:
    options = parse_options()
    failed = []
    for script in QUICK:
        print(f"\n## {script}\n", flush=True)
        if subprocess.run(command(script, options)).returncode != 0:
            failed.append(script)
    for script in failed:
        print(f"failed: {script}", file=sys.stderr)
    return 1 if failed else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  sudo benches/all.py --allow-sysctl      on a machine that does nothing else
  sudo benches/all.py --quick             does it work at all?""")
    parser.add_argument("--rounds", type=int, help="rounds of each table (5, quick: 1)")
    parser.add_argument("--rec", default=REC, help="the rec to run")
    parser.add_argument("--allow-sysctl", action="store_true",
                        help="let compare.py change settings of the kernel for the run, see there")
    parser.add_argument("--quick", action="store_true", help="tiny runs; their figures are noise")
    return parser.parse_args()


def command(script: str, options: argparse.Namespace) -> list[str]:
    """The command line of one of the scripts."""
    rounds = options.rounds or (1 if options.quick else 5)
    words = [sys.executable, os.path.join(ROOT, "benches", script), "--rec", options.rec]
    # It has a number of comparisons instead.
    if script != "false_alarms.py":
        words += ["--rounds", str(rounds)]
    if options.quick:
        words += QUICK[script]
    if options.allow_sysctl and script == "compare.py":
        words.append("--allow-sysctl")
    return words


if __name__ == "__main__":
    sys.exit(main())
