"""A recorder that is attached to a live process until it is told to end."""

import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass

from machine import BENCH_PROGRAMS

# How long a recorder gets to attach, where nothing tells that it has.
ATTACH_S = 2.0
# How long it may take to attach or to end.
PATIENCE_S = 120
# How much of what a recorder said is shown if it failed.
LOG_CHARS = 400
# What a recorder or its output may make a benchmark fail with.
FAILURES = (RuntimeError, ValueError, OSError, subprocess.SubprocessError)


@dataclass
class Outcome:
    """What a recording used, and what came of it."""

    cpu_s: float
    peak_kib: int
    file_bytes: int
    # What the recorder printed.
    log: str


class Attached:
    """Runs `command`, which writes `output`, from attaching to `finish`."""

    def __init__(self, command: list[str], output: str):
        self._dir = tempfile.TemporaryDirectory(prefix="rz-bench-")
        self._used = os.path.join(self._dir.name, "used")
        self._log = os.path.join(self._dir.name, "log")
        self._name = os.path.basename(command[0])
        self._output = output
        with open(self._log, "w") as log:
            # A group of its own, so that an interrupt is for it alone. Not a
            # session: that may be scheduled as one group (sched_autogroup),
            # and a recorder then starve beside a target of 10,000 threads.
            self._process = subprocess.Popen(
                [os.path.join(BENCH_PROGRAMS, "rusage"), self._used, *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._dir.cleanup()

    def wait_until_recording(self, by_file: bool) -> None:
        """Returns when it records: `by_file` when its file appears, as rec's
        does then; else after some time."""
        end = time.monotonic() + (PATIENCE_S if by_file else ATTACH_S)
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._name} did not attach: {self._last_words()}")
            if by_file and os.path.exists(self._output):
                return
            time.sleep(0.001)
        if by_file:
            raise RuntimeError(f"{self._name} did not attach in time")

    def finish(self) -> Outcome:
        """Interrupts it, and waits until its file is complete."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        return self.wait()

    def wait(self) -> Outcome:
        """Waits until it ends by itself."""
        self._process.wait(timeout=PATIENCE_S)
        with open(self._used) as file:
            cpu_s, peak_kib, code = file.read().split()
        # Some end by the signal that they are interrupted with.
        if int(code) not in (0, 128 + signal.SIGINT):
            raise RuntimeError(f"{self._name} exited with {code}: {self._last_words()}")
        size = os.path.getsize(self._output) if os.path.exists(self._output) else 0
        return Outcome(float(cpu_s), int(peak_kib), size, self._read_log())

    def _read_log(self) -> str:
        with open(self._log, errors="replace") as file:
            return file.read()

    def _last_words(self) -> str:
        """Everything it said, in one line that is not too long."""
        return " ".join(self._read_log().split())[:LOG_CHARS] or "it says nothing"


def told_by_rec(log: str) -> str:
    """What rec's last line says of how much is recorded and how much is not."""
    lines = [line for line in log.splitlines() if " lost" in line]
    parts = lines[-1].split(", ") if lines else []
    wanted = re.compile(r"\d.*\b(samples|waits|calls|lost|thinned)\b")
    return ", ".join(part for part in parts if wanted.search(part))
