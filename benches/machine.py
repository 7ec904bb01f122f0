"""The machine that is measured on: what it is, its settings, and what it lacks."""

import contextlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAMS = os.path.join(ROOT, "target/programs")
# Apart from the programs of the tests: some have the same name.
BENCH_PROGRAMS = os.path.join(ROOT, "target/bench-programs")
REC = os.path.join(ROOT, "target/dist/rec")

# Where Debian has the programs.
PACKAGES = {
    "bpftrace": "bpftrace",
    "perf": "linux-perf",
    "redis-benchmark": "redis-tools",
    "redis-server": "redis-server",
    "strace": "strace",
    "tmux": "tmux",
}


def missing(*tools: str) -> str:
    """Which of `tools` are not installed, and what to do; empty if all are."""
    lacking = [tool for tool in tools if not shutil.which(tool)]
    if not lacking:
        return ""
    packages = " ".join(sorted({PACKAGES[tool] for tool in lacking}))
    verb = "is" if len(lacking) == 1 else "are"
    return f"{' and '.join(lacking)} {verb} not installed: apt-get install {packages}"


def missing_rec(rec: str) -> str:
    """Why `rec` cannot be run; empty if it can."""
    return "" if os.path.exists(rec) else f"{rec} is missing, run ./build.sh"


def prepare() -> None:
    """Builds the programs of the benchmarks, and makes SIGTERM end them in good order."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    programs = os.path.join(ROOT, "tests/programs")
    subprocess.run(["make", "--silent", "-C", programs, "../../target/programs/deep20"], check=True)
    os.makedirs(BENCH_PROGRAMS, exist_ok=True)
    for name in ["rusage", "calls", "crowd", "pairs", "planted"]:
        source = os.path.join(ROOT, "benches", name + ".c")
        binary = os.path.join(BENCH_PROGRAMS, name)
        command = ["cc", "-O2", "-Wall", "-Wextra", "-pthread", "-D_GNU_SOURCE", "-I", programs]
        subprocess.run([*command, "-o", binary, source], check=True)
        if name == "planted":
            # What is inlined is known by debug information only.
            subprocess.run([*command, "-g", "-o", binary + "-inlined", source], check=True)


def describe(rec: str) -> None:
    """Prints what figures are worth nothing without."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")),
                     platform.machine())
    commit = _output("git", "-C", ROOT, "describe", "--always", "--dirty")
    print(f"machine: {model}, {os.cpu_count()} CPUs")
    print(f"kernel: {platform.release()}, perf_event_paranoid {paranoid()}, "
          f"load {os.getloadavg()[0]:.1f} at the start")
    print(f"commit: {commit}")
    if os.path.exists(rec):
        built = time.strftime("%Y-%m-%d %H:%M", time.localtime(os.path.getmtime(rec)))
        print(f"rec: {_output(rec, '--version')}, file of {built}")
    name = os.path.relpath(os.path.abspath(sys.argv[0]), ROOT)
    print(f"command: {shlex.join([name, *sys.argv[1:]])}", flush=True)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def paranoid() -> int:
    return _read_sysctl("kernel.perf_event_paranoid")


def counts_bpf_time() -> bool:
    """Whether the kernel takes the time of bpf programs."""
    return _read_sysctl("kernel.bpf_stats_enabled") != 0


@contextlib.contextmanager
def sysctls(wanted: dict[str, int]) -> Iterator[None]:
    """Sets what is not so already, and puts it back at the end."""
    before = {name: _read_sysctl(name) for name in wanted}
    changed = [name for name in wanted if before[name] != wanted[name]]
    try:
        for name in changed:
            _write_sysctl(name, wanted[name])
        yield
    finally:
        for name in changed:
            _write_sysctl(name, before[name])


def _sysctl_path(name: str) -> str:
    return os.path.join("/proc/sys", name.replace(".", "/"))


def _read_sysctl(name: str) -> int:
    try:
        with open(_sysctl_path(name)) as file:
            return int(file.read())
    except FileNotFoundError:
        return 0


def _write_sysctl(name: str, value: int) -> None:
    with open(_sysctl_path(name), "w") as file:
        file.write(str(value))
