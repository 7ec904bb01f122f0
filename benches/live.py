#!/usr/bin/env python3
"""What rec --live costs, with the report that shows it, and when it shows something.

A program with many threads (tests/programs/crowd), of which all but a few sleep, is
looked at in a terminal of tmux. From /proc come the CPU time of both processes, taken
once samples are shown, and their peak memory; from the screen, looked at every 20 ms,
when that was.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

from machine import PROGRAMS, REC, describe, missing, missing_rec

# How long the view gets until something is shown.
PATIENCE_S = 60


def main() -> int:
    options = parse_options()
    if lacking := missing("tmux") or missing_rec(options.rec):
        print(lacking, file=sys.stderr)
        return 1
    describe(options.rec)
    target = subprocess.Popen(
        [os.path.join(PROGRAMS, "crowd"), "0", str(options.threads), str(options.busy)],
        stdout=subprocess.PIPE)
    target.stdout.readline()
    try:
        with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
            for number in range(options.rounds):
                measure(options, target.pid, folder, os.path.join(folder, f"{number}.rz"))
    finally:
        target.kill()
        target.wait()
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: sudo benches/live.py --seconds 60")
    parser.add_argument("--rec", default=REC, help="the rec to run, with its report beside it")
    parser.add_argument("--threads", type=int, default=200, help="threads that sleep")
    parser.add_argument("--busy", type=int, default=2, help="threads that are busy")
    parser.add_argument("--rounds", type=int, default=3, help="how often")
    parser.add_argument("--hz", type=int, default=99, help="samples a second")
    parser.add_argument("--seconds", type=int, default=20, help="how long to look")
    parser.add_argument("--tab", type=int, default=0, help="tabs to the right of the first")
    return parser.parse_args()


def measure(options: argparse.Namespace, pid: int, folder: str, trace: str) -> None:
    tmux = ["tmux", "-f", "/dev/null", "-S", os.path.join(folder, "tmux")]
    command = (f"exec {options.rec} --live --off-cpu --syscalls -F {options.hz} "
               f"-p {pid} -o {trace}")
    started = time.monotonic()
    subprocess.run([*tmux, "new-session", "-d", "-x", "100", "-y", "40", command], check=True)
    try:
        first = None
        while first is None and time.monotonic() - started < PATIENCE_S:
            shown = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True)
            if "work  crowd" in shown.stdout:
                first = time.monotonic() - started
            time.sleep(0.02)
        if first is None:
            raise RuntimeError(f"nothing is shown after {PATIENCE_S} s: {shown.stdout[:200]}")
        for _ in range(options.tab):
            subprocess.run([*tmux, "send-keys", "Tab"], check=True)
        recorder = subprocess.run([*tmux, "display-message", "-p", "#{pane_pid}"],
                                  capture_output=True, text=True, check=True).stdout.strip()
        with open(f"/proc/{recorder}/task/{recorder}/children") as children:
            report = children.read().split()[0]
        print(f"first samples shown after {first:.2f} s")
        before = [cpu_s(recorder), cpu_s(report)]
        time.sleep(options.seconds)
        after = [cpu_s(recorder), cpu_s(report)]
        for name, number, start, end in zip(("rec", "report"), (recorder, report), before, after):
            share = (end - start) / options.seconds * 100
            print(f"{name}: {share:.1f} % of a core, {peak_mib(number):.0f} MiB at most")
        print(f"trace: {os.path.getsize(trace) / 1024:.0f} KiB")
        subprocess.run([*tmux, "send-keys", "q"], check=True)
        time.sleep(1)
    finally:
        subprocess.run([*tmux, "kill-server"], stderr=subprocess.DEVNULL)


def cpu_s(pid: str) -> float:
    """CPU time of a process so far."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: str) -> float:
    """Memory that a process had resident, at most."""
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
