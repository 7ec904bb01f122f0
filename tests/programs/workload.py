"""CPU-bound Python with known functions.

    <module> > main > run > hot   70 %
                          > cold  30 %

workload.py [SECONDS]
"""

import sys
import time


def hot():
    total = 0
    for i in range(7000):
        total += i * i
    return total


def cold():
    total = 0
    for i in range(3000):
        total += i * i
    return total


def run(end):
    while end is None or time.monotonic() < end:
        hot()
        cold()


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0
    end = time.monotonic() + seconds if seconds > 0 else None
    print("ready", flush=True)
    run(end)


main()
