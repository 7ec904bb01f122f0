#!/usr/bin/env python3
"""How fast tables of many traces are written, and how fast they answer.

Takes a few recordings, such as `rec -a -d 60 -o a.rz`, and writes their tables
with `conv --to parquet`: rows per second, peak memory, and bytes against those of
the trace. Then the tables that recipes ask are multiplied, as if each of a
thousand hosts had been recorded for an hour: other hosts, recordings and minutes,
files of their own. `report --sql` is timed on these; what DuckDB itself takes is
in it. Needs the Python module duckdb (tests/setup.sh has it in target/tools/venv).
"""

import argparse
import os
import shutil
import sys
import tempfile
import time

import duckdb

from large import run
from machine import REC, describe
from measure import spread

MINUTE = "INTERVAL 1 MINUTE"


def beside(rec: str, program: str) -> str:
    return os.path.join(os.path.dirname(rec), program)


def size_of(folder: str) -> int:
    """Bytes of all files that have rows."""
    return sum(os.path.getsize(os.path.join(path, name))
               for path, _, names in os.walk(folder) for name in names if name != "schema.parquet")


def time_writing(options: argparse.Namespace, folder: str) -> str:
    """Writes the tables of all traces, each alone. Gives the folder of those of all."""
    print("\n| trace | MiB | rows | rows/s | peak MiB | bytes of tables / of the trace |")
    print("|---|---|---|---|---|---|", flush=True)
    conv, all_of_them = beside(options.rec, "conv"), os.path.join(folder, "all")
    for number, trace in enumerate(options.traces):
        costs, tables = [], os.path.join(folder, str(number))
        for _ in range(options.rounds):
            shutil.rmtree(tables, ignore_errors=True)
            costs.append(run([conv, trace, "--to", "parquet", "-o", tables, "-q"]))
        kinds = ["cpu_sample", "wait", "syscall", "allocation"]
        rows = sum(duckdb.sql(f"SELECT COUNT(*) FROM '{tables}/{kind}/*.parquet'").fetchall()[0][0]
                   for kind in kinds)
        bytes_of_trace = os.path.getsize(trace)
        print(f"| {os.path.basename(trace)} | {bytes_of_trace / 2**20:.1f} | {rows} "
              f"| {spread([rows / cost.seconds for cost in costs], '{:.0f}'.format)} "
              f"| {spread([cost.peak_mib for cost in costs], '{:.0f}'.format)} "
              f"| {size_of(tables) / bytes_of_trace:.2f} |", flush=True)
    run([conv, *options.traces, "--to", "parquet", "-o", all_of_them, "-q"])
    return all_of_them


def multiply(tables: str, into: str, hosts: int, minutes: int) -> None:
    """Makes `hosts` of the few there are, each with the same in every minute."""
    shutil.copytree(tables, into, ignore=lambda folder, names: [
        name for name in names if name.endswith(".parquet") and name != "schema.parquet"])
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for table in ["trace", "exposure", "function_minute", "function_hour"]:
        source = f"{tables}/{table}/*.parquet"
        files = [row[0] for row in connection.execute(
            f"SELECT DISTINCT file FROM glob('{source}') WHERE file NOT LIKE '%schema.parquet' "
            "ORDER BY file").fetchall()]
        for host in range(hosts):
            file = files[host % len(files)]
            changes = f"trace_id + {host} AS trace_id, 'host-{host}' AS host"
            rows = f"SELECT * REPLACE ({changes}) FROM '{file}'"
            if table == "trace":
                changes += f", 'boot-{host}' AS boot_id"
                rows = f"SELECT * REPLACE ({changes}) FROM '{file}'"
            elif table == "function_hour":
                # All of these are in one hour.
                sums = ", ".join(f"{name} * {minutes} AS {name}" for name in
                                 ["self", "total", "items"])
                rows = f"SELECT * REPLACE ({sums}) FROM ({rows})"
            else:
                # What was recorded of one minute, in each.
                rows = (f"SELECT * REPLACE (first + m.n * {MINUTE} AS minute) FROM ({rows}), "
                        f"(SELECT MIN(minute) AS first FROM '{file}'), range({minutes}) AS m(n) "
                        "WHERE minute = first")
            connection.execute(f"COPY ({rows}) TO '{into}/{table}/host-{host:016x}.parquet' "
                               "(COMPRESSION zstd)")


def time_recipes(options: argparse.Namespace, tables: str) -> None:
    rows = duckdb.sql(f"SELECT COUNT(*) FROM '{tables}/function_minute/*.parquet'").fetchall()[0][0]
    print(f"\n{options.hosts} hosts, {options.minutes} minutes: {rows} rows of function_minute, "
          f"{size_of(tables) / 2**20:.0f} MiB\n\n| recipe | seconds |\n|---|---|")
    # That of the command finds the module that this has.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    for recipe in ["hottest", "versions", "hosts", "changed", "coverage"]:
        seconds = []
        for _ in range(options.rounds):
            started = time.monotonic()
            run([beside(options.rec, "report"), tables, "--sql", recipe])
            seconds.append(time.monotonic() - started)
        print(f"| {recipe} | {spread(seconds, '{:.2f}'.format)} |", flush=True)


def main() -> None:
    options = parse_options()
    describe(options.rec)
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        tables = time_writing(options, folder)
        many = os.path.join(folder, "many")
        multiply(tables, many, options.hosts, options.minutes)
        time_recipes(options, many)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  target/tools/venv/bin/python benches/fleet.py a.rz b.rz c.rz
  target/tools/venv/bin/python benches/fleet.py a.rz --rounds 1 --hosts 10   does it work?""")
    parser.add_argument("traces", nargs="+", metavar="TRACE", help="recordings to begin with")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (5)")
    parser.add_argument("--hosts", type=int, default=1000, help="hosts to make of them (1000)")
    parser.add_argument("--minutes", type=int, default=60, help="minutes of each (60)")
    parser.add_argument("--rec", default=REC, help="the rec beside whose conv and report are run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
