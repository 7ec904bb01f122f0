"""The recorders that are compared: how each is started, and its samples counted."""

import glob
import gzip
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Callable

from machine import missing, missing_rec, paranoid


@dataclass
class Recorder:
    """One way to sample a live process.

    `command(pid, hz, seconds, output)` is its command line;
    `samples(output, log)` counts the samples in the file that it left, or
    takes the number from what it printed.
    """

    name: str
    command: Callable[[int, int, float, str], list]
    samples: Callable[[str, str], int]
    skip: str = ""


def rec_samples(_output, log):
    found = re.search(r"(\d+) samples", log)
    if not found:
        raise RuntimeError(f"rec printed no number of samples: {log!r}")
    return int(found.group(1))


def perf_samples(output, _log):
    stats = subprocess.run(
        ["perf", "report", "--stats", "--stdio", "-i", output],
        capture_output=True, text=True, check=True,
    ).stdout
    return int(re.search(r"SAMPLE events:\s+(\d+)", stats).group(1))


def _samply_samples(output, _log):
    with gzip.open(output) as file:
        profile = json.load(file)
    return sum(thread["samples"]["length"] for thread in profile["threads"])


def _rec(rec, *options):
    def command(pid, hz, seconds, output):
        return [rec, "-F", str(hz), "-d", f"{seconds:g}", "-p", str(pid), *options, "-o", output]
    return command


def _perf(*call_graph):
    def command(pid, hz, seconds, output):
        # perf ends when the command after -- does.
        return ["perf", "record", "-q", "-F", str(hz), *call_graph, "-o", output,
                "-p", str(pid), "--", "sleep", str(seconds)]
    return command


def find_samply():
    """samply from PATH, or from a folder of peers that are not installed."""
    return shutil.which("samply") or next(iter(glob.glob("/opt/peers/bin/samply")), None)


def recorders(rec):
    """All recorders, in the order of the tables; `rec` is the path of rz's."""
    rec_skip = missing_rec(rec)
    perf = missing("perf")
    samply = find_samply()
    samply_skip = "" if samply else "samply is neither in PATH nor in /opt/peers/bin"
    if samply and paranoid() > 1:
        samply_skip = "samply needs kernel.perf_event_paranoid ≤ 1, see --allow-sysctl"
    return [
        Recorder("rec", _rec(rec), rec_samples, rec_skip),
        Recorder("rec --tier perf", _rec(rec, "--tier", "perf"), rec_samples, rec_skip),
        Recorder("rec --stack-size 8K", _rec(rec, "--stack-size", "8K"), rec_samples, rec_skip),
        Recorder("perf record -g", _perf("-g"), perf_samples, perf),
        Recorder("perf record --call-graph dwarf", _perf("--call-graph", "dwarf"), perf_samples, perf),
        Recorder(
            "samply",
            # samply 0.13.1 has no end of its own when it attaches: -d is ignored.
            lambda pid, hz, seconds, output:
                ["timeout", "--foreground", "--preserve-status", "--signal=INT", f"{seconds:g}",
                 samply, "record", "--save-only", "-r", str(hz), "-p", str(pid), "-o", output],
            _samply_samples,
            samply_skip,
        ),
    ]
