#!/usr/bin/env python3
"""How fast files of other tools are made into traces, and with how much memory.

Writes Chromium's trace events of eight threads: calls in calls, some with arguments as
Chromium has them, and events that are no calls. Then runs `conv --to rz` on them and prints
medians with the smallest and largest. With `--before`, as in large.py.
"""

import argparse
import os
import random
import tempfile

from large import Table
from machine import REC, describe

THREADS = 8


def events(chance: random.Random, tid: int, start: int) -> tuple[list[str], int]:
    """What one task of a thread writes, and when it is over, in microseconds."""
    lines, at, left = [], start, chance.randrange(200, 5000)
    end = start + left
    for depth in range(chance.randrange(1, 12)):
        name = f"blink::Function{chance.randrange(500)}::call"
        kind = chance.random()
        of = f'"cat":"toplevel","name":"{name}","pid":100,"tid":{tid},"ts":{at}'
        if kind < 0.4:
            lines.append(f'{{{of},"ph":"X","dur":{left}}}')
        elif kind < 0.8:
            lines.append(f'{{"args":{{"src_file":"../../base/task/sequence_manager.cc",'
                         f'"src_func":"Do{depth}","data":{{"lineNumber":{depth * 7}}}}},{of},'
                         f'"ph":"X","dur":{left},"tdur":{left // 2},"tts":{at // 3}}}')
        else:
            lines.append(f'{{"args":{{}},{of},"ph":"I","s":"t"}}')
        at += chance.randrange(1, max(2, left // 3))
        left = end - at - 1
        if left < 4:
            break
    return lines, end + chance.randrange(1, 300)


def write_trace_events(path: str, size: int) -> None:
    chance, written, now = random.Random(1), 0, [1_000_000] * THREADS
    with open(path, "w") as file:
        file.write('{"traceEvents":[\n{"args":{"name":"Browser"},"name":"process_name","ph":"M",'
                   '"pid":100,"tid":0,"ts":0}')
        while written < size:
            thread = chance.randrange(THREADS)
            lines, now[thread] = events(chance, thread + 1, now[thread])
            text = "".join(",\n" + line for line in lines)
            written += file.write(text)
        file.write("\n]}\n")


def main() -> None:
    options = parse_options()
    describe(options.rec)
    table = Table(options)
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        path, trace = os.path.join(folder, "trace.json"), os.path.join(folder, "trace.rz")
        write_trace_events(path, options.megabytes * 1_000_000)
        table.row("trace events", "conv", ["--quiet", "--to", "rz", "-o", trace, path], [path])


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  benches/importing.py
  benches/importing.py --before ../before/target/dist/rec
  benches/importing.py --rounds 1 --megabytes 10  does it work at all?""")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (5)")
    parser.add_argument("--megabytes", type=int, default=1000, help="of trace events (1000)")
    parser.add_argument("--rec", default=REC, help="the rec beside whose conv is run")
    parser.add_argument("--before", metavar="REC", help="the same of another build, to compare with")
    return parser.parse_args()


if __name__ == "__main__":
    main()
