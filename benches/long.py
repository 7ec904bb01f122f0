#!/usr/bin/env python3
"""Whether a recording of hours stays as it is after its first minutes: memory and open
files of rec, how much of a CPU it takes, and what is lost.

The target starts threads and processes and loads libraries all the time, each of them
new to rec, and makes system calls by plan. With --rotate, these have to be the sum over all
files, each of which has to be whole and to begin where the one before ends.
"""

import argparse
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from machine import PROGRAMS, REC, describe, missing_rec

# How long rec has to get to where it stays.
SETTLES_S = 300
# How often it is looked at.
LOOK_S = 10
# The system call of the plan, which nothing else makes, and how many in each round.
PLANNED = "getpriority"
IN_A_ROUND = 100
# By how much a clock may be set meanwhile.
ADJUSTED_NS = 10_000_000


def main() -> int:
    options = parse_options()
    if options.serve:
        return serve(options.serve)
    lacking = missing_rec(options.rec)
    if lacking:
        print(lacking, file=sys.stderr)
        return 1
    describe(options.rec)
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        done = os.path.join(folder, "rounds")
        target = subprocess.Popen([sys.executable, __file__, "--serve", folder],
                                  stdin=subprocess.PIPE)
        try:
            trace = os.path.join(folder, "traces" if options.rotate else "long.rz")
            failed = watch(options, target, trace)
            if not failed and options.rotate:
                with open(done) as rounds:
                    failed = check_files(options.rec, trace, int(rounds.read()) * IN_A_ROUND)
            return failed
        finally:
            target.kill()
            target.wait()


def watch(options: argparse.Namespace, target: subprocess.Popen, trace: str) -> int:
    """Records, and prints what rec takes in the beginning and in the end."""
    seconds = options.hours * 3600
    command = [options.rec, "-F", "99", "--follow", "--off-cpu", "--syscalls=summary",
               "-d", str(seconds), "-o", trace, "-p", str(target.pid)]
    if options.rotate:
        command += ["--rotate", options.rotate]
    rec = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    begun = time.monotonic()
    while not os.path.exists(trace):
        time.sleep(0.1)
    time.sleep(1)
    # From here on, it goes by plan, and ends early enough for all of it to be recorded.
    target.stdin.write(f"{seconds - 15}\n".encode())
    target.stdin.flush()
    looks = []
    while rec.poll() is None:
        time.sleep(LOOK_S)
        look = look_at(rec.pid)
        if look:
            looks.append((time.monotonic() - begun, *look))
    said = rec.stderr.read().strip()
    settled = [look for look in looks if look[0] > SETTLES_S]
    if rec.returncode != 0 or len(settled) < 8:
        print(f"{said}\nrec ended with {rec.returncode} after {len(looks)} looks",
              file=sys.stderr)
        return 1
    quarter = len(settled) // 4
    for name, at, unit in [("memory", 1, "MiB"), ("open files", 2, "")]:
        first, last = ([look[at] for look in part]
                       for part in (settled[:quarter], settled[-quarter:]))
        change = 100 * (statistics.median(last) / statistics.median(first) - 1)
        most = max(look[at] for look in looks)
        print(f"{name}: {statistics.median(first):.1f} {unit} in the first quarter, "
              f"{statistics.median(last):.1f} in the last ({change:+.1f} %), {most:.1f} at most")
    cpu = (settled[-1][3] - settled[0][3]) / (settled[-1][0] - settled[0][0])
    print(f"CPU: {100 * cpu:.2f} % of a core")
    paths = glob.glob(f"{trace}/*.rz") if options.rotate else [trace]
    size = sum(map(os.path.getsize, paths))
    print(f"trace: {size / 2**20:.1f} MiB in {len(paths)} files after {seconds / 3600:.2f} h")
    print(said)
    return 0


def check_files(rec: str, folder: str, planned: int) -> int:
    """Whether the files are whole, follow each other, and add up to the plan."""
    tools = {name: os.path.join(os.path.dirname(rec), name) for name in ("conv", "report")}
    paths = sorted(glob.glob(f"{folder}/*.rz"))
    made, lost, end_ns, faults = 0, 0, None, 0
    for path in paths:
        if subprocess.run([tools["conv"], "--verify", path], capture_output=True).returncode != 0:
            print(f"{path} is not whole", file=sys.stderr)
            faults += 1
        told = subprocess.check_output([tools["report"], path, "--syscalls", "--json", "--limit", "1000"])
        calls = json.loads(told)
        start_ns, length_ns = (calls["trace"][name] for name in ("start_unix_ns", "duration_ns"))
        if end_ns and abs(start_ns - end_ns) > ADJUSTED_NS:
            print(f"{path} begins {start_ns - end_ns} ns after the one before", file=sys.stderr)
            faults += 1
        end_ns = start_ns + length_ns
        lost += sum(loss["count"] for loss in calls["quality"]["lost"])
        made += sum(row["count"] for row in calls["data"]["calls"]["rows"] if row["syscall"] == PLANNED)
    print(f"{PLANNED}: {made} in {len(paths)} files, {planned} made; {lost} events lost")
    return int(made != planned or faults > 0)


def look_at(pid: int) -> tuple[float, int, float] | None:
    """Memory in MiB, open files, and seconds of CPU time; `None` if it has ended."""
    try:
        with open(f"/proc/{pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        with open(f"/proc/{pid}/stat") as stat:
            ticks = stat.read().rpartition(")")[2].split()[11:13]
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    if "VmRSS" not in fields:
        return None
    cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return int(fields["VmRSS"].split()[0]) / 1024, files, cpu


def serve(folder: str) -> int:
    """Starts threads and processes and loads libraries, until it is killed."""
    import _ctypes

    library = os.path.join(PROGRAMS, "libplugin.so")
    number = 0
    end = time.monotonic() + float(sys.stdin.readline())
    while time.monotonic() < end:
        for _ in range(IN_A_ROUND):
            os.getpriority(os.PRIO_PROCESS, 0)
        thread = threading.Thread(target=lambda: sum(range(20000)))
        thread.start()
        thread.join()
        if number % 10 == 0:
            subprocess.run(["true"], check=True)
        if number % 20 == 0:
            copy = os.path.join(folder, f"plugin-{number}.so")
            shutil.copy(library, copy)
            _ctypes.dlclose(_ctypes.dlopen(copy, os.RTLD_NOW))
            os.unlink(copy)
        number += 1
        time.sleep(0.05)
    with open(os.path.join(folder, "rounds.new"), "w") as rounds:
        rounds.write(str(number))
    os.rename(rounds.name, os.path.join(folder, "rounds"))
    time.sleep(3600)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  sudo benches/long.py                  for ten hours
  sudo benches/long.py --hours 0.2
  sudo benches/long.py --rotate 1m""")
    parser.add_argument("--hours", type=float, default=10, help="how long (10)")
    parser.add_argument("--rec", default=REC, help="which rec (%(default)s)")
    parser.add_argument("--rotate", metavar="TIME", help="one file after another")
    parser.add_argument("--serve", metavar="FOLDER", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
