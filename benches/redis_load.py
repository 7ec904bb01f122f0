"""What recording redis-server costs it, under redis-benchmark."""

import argparse
import csv
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from attached import FAILURES, Attached, told_by_rec
from machine import missing, missing_rec
from measure import spread

TESTS = ["SET", "GET"]
START_S = 10
LOAD_S = 600
NOISE = "none (noise of the machine)"


@dataclass
class Recorder:
    """One way to record a live process until interrupted; none for no recorder.

    It gets one part in `part` of the requests.
    """

    name: str
    command: Callable[[int, str], list[str]] | None
    part: int = 1
    skip: str = ""


def _rec(rec: str, *options: str) -> Callable[[int, str], list[str]]:
    return lambda pid, output: [
        rec, "-F", "99", "-d", "1h", "-p", str(pid), *options, "-o", output]


def recorders(rec: str) -> list[Recorder]:
    """All recorders, in the order of the table; `rec` is the path of rz's."""
    own, root = missing_rec(rec), "" if os.geteuid() == 0 else "needs root"
    return [
        Recorder(NOISE, None),
        Recorder("rec -F 99", _rec(rec), 1, own),
        Recorder("rec -F 99 --off-cpu", _rec(rec, "--off-cpu"), 1, own or root),
        Recorder("rec -F 99 --off-cpu --syscalls", _rec(rec, "--off-cpu", "--syscalls"), 1,
                 own or root),
        Recorder("rec -F 99 --off-cpu --syscalls=summary",
                 _rec(rec, "--off-cpu", "--syscalls=summary"), 1, own or root),
        Recorder("perf record -F 99 -g",
                 lambda pid, output: ["perf", "record", "-q", "-F", "99", "-g", "-o", output,
                                      "-p", str(pid)], 1, missing("perf")),
        Recorder("strace -f -c",
                 lambda pid, output: ["strace", "-f", "-c", "-o", output, "-p", str(pid)], 10,
                 missing("strace")),
    ]


class Server:
    """A redis-server of our own, on a free port of the loopback interface."""

    def __enter__(self):
        self._dir = tempfile.TemporaryDirectory(prefix="rz-bench-")
        self._port = _free_port()
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", self._dir.name],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._wait_until_it_listens()
        except RuntimeError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._dir.cleanup()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _wait_until_it_listens(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"redis-server does not listen on port {self._port}")

    def load(self, requests: int) -> list[float]:
        """Requests per second, for each of TESTS."""
        done = subprocess.run(
            ["redis-benchmark", "-h", "127.0.0.1", "-p", str(self._port), "-q", "--csv",
             "-t", ",".join(TESTS).lower(), "-n", str(requests)],
            capture_output=True, text=True, check=True, timeout=LOAD_S)
        rates = {row[0]: float(row[1]) for row in csv.reader(done.stdout.splitlines())
                 if len(row) > 1 and row[0] in TESTS}
        return [rates[test] for test in TESTS]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass
class Recorded:
    """Requests per second of each of TESTS, while recorded and not."""

    untraced: list[float]
    traced: list[float]
    # What the recorder said of itself.
    words: str

    def shares(self) -> list[float]:
        """Throughput in relation to that without a recorder."""
        return [mine / free for mine, free in zip(self.traced, self.untraced)]

    def share(self) -> float:
        """The same for all requests, from the time that they took together."""
        return sum(1 / rate for rate in self.untraced) / sum(1 / rate for rate in self.traced)


def record(server: Server, recorder: Recorder, requests: int) -> Recorded:
    """One run of the load under a recorder, between two without."""
    part = max(requests // recorder.part, 1)
    before, words = server.load(requests), ""
    if recorder.command is None:
        traced = server.load(part)
    else:
        with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
            output = os.path.join(folder, "output")
            with Attached(recorder.command(server.pid, output), output) as attached:
                attached.wait_until_recording(by_file=recorder.name.startswith("rec "))
                traced = server.load(part)
                words = told_by_rec(attached.finish().log)
    after = server.load(requests)
    return Recorded([(a + b) / 2 for a, b in zip(before, after)], traced, words)


def compare(options: argparse.Namespace) -> None:
    """Prints the table of all recorders."""
    lacking = missing("redis-server", "redis-benchmark")
    if lacking:
        print(f"skipped: redis: {lacking}")
        return
    runnable = []
    for recorder in recorders(options.rec):
        if options.tracer and recorder.name not in options.tracer:
            continue
        if recorder.skip:
            print(f"skipped: {recorder.name}: {recorder.skip}", flush=True)
        else:
            runnable.append(recorder)
    found: dict[str, list[Recorded]] = {recorder.name: [] for recorder in runnable}
    failures: dict[str, str] = {}
    for _ in range(options.rounds):
        with Server() as server:
            server.load(options.requests)  # warms up
            for recorder in runnable:
                try:
                    found[recorder.name].append(record(server, recorder, options.requests))
                except FAILURES as error:
                    failures[recorder.name] = str(error)
    _print(found, failures, options)


def _print(found: dict[str, list[Recorded]], failures: dict[str, str],
           options: argparse.Namespace) -> None:
    print(f"\nThroughput of redis-server, up to {options.requests} requests of each kind, "
          f"{options.rounds} rounds, in percent of untraced: median (min to max)\n")
    print("| recorder | requests | " + " | ".join(TESTS)
          + " | untraced, requests per second | rec's own words, last round |")
    print("|---|---|" + "---|" * len(TESTS) + "---|---|")
    percent = "{:.1%}".format
    for name, runs in found.items():
        if not runs:
            continue
        tests = [spread((run.shares()[i] for run in runs), percent) for i in range(len(TESTS))]
        rates = [len(TESTS) / sum(1 / rate for rate in run.untraced) for run in runs]
        print(f"| {name} | {spread((run.share() for run in runs), percent)} | "
              + " | ".join(tests) + f" | {spread(rates, '{:.0f}'.format)} "
              f"| {runs[-1].words or '–'} |", flush=True)
    for name, failure in failures.items():
        print(f"\nfailed: {name}: {failure}")
