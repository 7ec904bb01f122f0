"""What a recording costs: its own CPU and memory, its file, and its target's speed."""

import mmap
import os
import statistics
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass

from bpf_time import BpfPrograms
from machine import BENCH_PROGRAMS, PROGRAMS, counts_bpf_time

# How long a recorder gets to attach before the target's speed is taken.
ATTACH_S = 1.0
# How long it may take to record and to write its file.
END_S = 120


class Target:
    """The busy program deep20, `deep` functions deep (a multiple of 20), with a
    view of how much work it has done."""

    def __init__(self, deep=20):
        self._times = deep // 20

    def __enter__(self):
        self._dir = tempfile.TemporaryDirectory(prefix="rz-bench-")
        counts = os.path.join(self._dir.name, "counts")
        program = os.path.join(PROGRAMS, "deep20")
        self._process = subprocess.Popen([program, "0", counts, str(self._times)],
                                         stdout=subprocess.PIPE)
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{program} did not start")
        with open(counts, "rb") as file:
            self._counts = mmap.mmap(file.fileno(), 16, prot=mmap.PROT_READ)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._counts.close()
        self._dir.cleanup()

    @property
    def pid(self):
        return self._process.pid

    def speed(self, seconds):
        """Calls per second that the target gets done during `seconds`."""
        start, before = time.monotonic(), sum(struct.unpack("QQ", self._counts[:16]))
        time.sleep(seconds)
        end, after = time.monotonic(), sum(struct.unpack("QQ", self._counts[:16]))
        return (after - before) / (end - start)


@dataclass
class Cost:
    """What one recording used."""

    cpu_s: float
    peak_kib: int
    file_bytes: int
    samples: int
    # Of its bpf programs, not in cpu_s; unknown where the kernel does not take it.
    bpf_s: float | None = None


class Recording:
    """A recorder at work on `pid`; `finish` waits for it and tells its cost."""

    def __init__(self, recorder, pid, hz, seconds):
        self._recorder = recorder
        self._dir = tempfile.TemporaryDirectory(prefix="rz-bench-")
        self._output = os.path.join(self._dir.name, "profile.json.gz")
        self._used = os.path.join(self._dir.name, "used")
        command = recorder.command(pid, hz, seconds, self._output)
        self._process = subprocess.Popen(
            [os.path.join(BENCH_PROGRAMS, "rusage"), self._used, *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    def recorder_pid(self):
        """The process that records."""
        with open(f"/proc/{self._process.pid}/task/{self._process.pid}/children") as file:
            return int(file.read().split()[0])

    def finish(self):
        log, _ = self._process.communicate(timeout=END_S)
        with open(self._used) as file:
            cpu_s, peak_kib, code = file.read().split()
        if code != "0":
            raise RuntimeError(f"{self._recorder.name} exited with {code}: {log}")
        samples = self._recorder.samples(self._output, log)
        cost = Cost(float(cpu_s), int(peak_kib), os.path.getsize(self._output), samples)
        self._dir.cleanup()
        return cost


def cost(recorder, hz, seconds, deep=20):
    """The cost of one recording of `seconds`, start-up and end included."""
    with Target(deep) as target:
        recording = Recording(recorder, target.pid, hz, seconds)
        if not counts_bpf_time():
            return recording.finish()
        time.sleep(seconds / 2)
        with BpfPrograms(recording.recorder_pid()) as programs:
            cost = recording.finish()
            cost.bpf_s = programs.seconds()
            return cost


def slowdown(recorder, hz, seconds):
    """How much slower the target is while it is recorded: 0.01 is 1 %.

    The speed during the recording is set against the mean of the speeds just
    before and just after, in the same process. With no recorder this tells
    how far two equal measurements differ on this machine.
    """
    with Target() as target:
        time.sleep(ATTACH_S)
        before = target.speed(seconds)
        recording = None
        if recorder:
            recording = Recording(recorder, target.pid, hz, seconds + 2 * ATTACH_S)
        time.sleep(ATTACH_S)
        during = target.speed(seconds)
        if recording:
            recording.finish()
        after = target.speed(seconds)
    return 1 - during / ((before + after) / 2)


def spread(values, form):
    """Median and range of `values` as text."""
    values = list(values)
    low, high = form(min(values)), form(max(values))
    return f"{form(statistics.median(values))} ({low} to {high})"
