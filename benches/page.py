#!/usr/bin/env python3
"""How large the page of a large trace is, and how quick it is in a browser, beside
speedscope with the same samples.

Writes a trace with the example write_traces of convert: a million samples in 50,000
stacks of 64 threads. Its page is opened from disk in Chromium without a window. *First
view* is from the beginning of loading to the first frame with the view in it. What a
step of the mouse wheel or of the pointer takes is what the page's main thread has
worked for it, frame included. A range of time is selected 20 times, in each view; in
these that compare, with the first third of the time as before. For the source view it is
a trace in which all code has a line. Prints medians with the smallest and largest.
"""

import argparse
import base64
import os
import re
import subprocess
import tempfile
import time

from browser import Browser
from large import run
from machine import REC, ROOT, describe
from measure import spread

# Of the traces; two places next to each other have one stack. The rate is the example's.
THREADS, PLACES, RATE = 64, 100_000, 997
STEPS = 40
EVENTS = {"mousemove": "the pointer moves", "wheel": "the wheel zooms", "click": "a click zooms"}
RANGES = 20

SHOWN = "document.documentElement?.dataset.ready"

READY = """new Promise((done) => {
  const look = () => IS_READY
    ? requestAnimationFrame(() => done(performance.now())) : setTimeout(look, 5);
  look();
})"""

# Something that the mouse does at some place of the largest canvas. With Ctrl, wheels zoom.
STEP = """new Promise((done) => {
  const canvases = [...document.querySelectorAll('canvas')];
  const area = (canvas) => canvas.clientWidth * canvas.clientHeight;
  const canvas = canvases.reduce((a, b) => area(a) >= area(b) ? a : b);
  const place = canvas.getBoundingClientRect();
  const at = {
    bubbles: true, cancelable: true, view: window, deltaY: AMOUNT, ctrlKey: true,
    clientX: place.left + place.width * AT_X, clientY: place.top + Math.min(place.height, 600) * AT_Y,
  };
  const kind = 'EVENT';
  canvas.dispatchEvent(kind === 'wheel' ? new WheelEvent(kind, at) : new MouseEvent(kind, at));
  requestAnimationFrame(() => setTimeout(done, 0));
})"""

# Selects a range by the page's address, as a link does: until it is shown, and until it
# has been read again, where a server is asked to.
SELECT = """new Promise((done) => {
  const page = document.documentElement, before = page.dataset.ready;
  const begun = performance.now();
  location.hash = 'HASH';
  let shown = null;
  const look = () => {
    if (page.dataset.ready === before || (shown !== null && page.hasAttribute('data-asking'))) setTimeout(look, 1);
    else requestAnimationFrame(() => {
      const took = performance.now() - begun;
      shown ??= took;
      if (page.hasAttribute('data-asking')) look();
      else done([shown, took]);
    });
  };
  look();
})"""


def first_view(page: Browser, address: str, is_ready: str) -> float:
    page.open(address)
    # The expression may meet the page before, which goes away with it.
    while True:
        try:
            return page.run(READY.replace("IS_READY", is_ready)) / 1000
        except RuntimeError as error:
            if "navigated" not in str(error) and "destroyed" not in str(error):
                raise


def steps_ms(page: Browser, event: str) -> list[float]:
    took = []
    for step in range(STEPS):
        script = STEP.replace("EVENT", event).replace("AMOUNT", str(120 if step % 2 else -120))
        script = script.replace("AT_X", f"{0.2 + 0.6 * step / STEPS:.3f}")
        script = script.replace("AT_Y", f"{0.1 + 0.5 * (step * 7 % STEPS) / STEPS:.3f}")
        before = page.busy_s()
        page.run(script)
        took.append((page.busy_s() - before) * 1000)
    return took


def ranges_ms(page: Browser, view: str, span_us: int, compared: str = "") -> list[list[float]]:
    """Of each range, how long it took until it was shown, and read again."""
    took = []
    for number in range(RANGES):
        start = span_us * number // (2 * RANGES)
        hash = f"#view={view}&time={start}-{start + span_us // 3}{compared}"
        took.append(page.run(SELECT.replace("HASH", hash)))
    return took


def measure_page(path: str, span_us: int, rounds: int) -> None:
    address, seconds, heaps, processes = f"file://{path}", [], [], []
    for _ in range(rounds):
        with Browser() as page:
            seconds.append(first_view(page, address, SHOWN))
            first_view(page, "about:blank", "true")
            first_view(page, address + "#view=flame", SHOWN)
            heap, process = page.memory_mib()
            heaps.append(heap)
            processes.append(process)
    row("rz: first view, s", seconds, "{:.2f}")
    row("rz: heap of the script, MiB", heaps, "{:.0f}")
    row("rz: all of the page's process, MiB", processes, "{:.0f}")
    with Browser() as page:
        for view, event in [("flame", "mousemove"), ("flame", "click"), ("timeline", "mousemove"),
                            ("timeline", "wheel"), ("chart", "mousemove"), ("chart", "wheel"),
                            ("heatmap", "mousemove")]:
            first_view(page, "about:blank", "true")
            first_view(page, f"{address}#view={view}", SHOWN)
            row(f"rz, {view}: {EVENTS[event]}, ms", steps_ms(page, event), "{:.1f}")
        for view in ("overview", "flame", "table", "timeline", "chart", "heatmap", "sandwich"):
            shown = [times[0] for times in ranges_ms(page, view, span_us)]
            row(f"rz, {view}: a range is selected, ms", shown, "{:.0f}")
        for view in ("flame", "table", "sandwich"):
            times = ranges_ms(page, view, span_us, f"&before=0-{span_us // 3}")
            row(f"rz, {view}, compared: a range is selected, ms", [shown for shown, _ in times], "{:.0f}")


def measure_source(path: str, span_us: int) -> None:
    with Browser() as page:
        first = [first_view(page, f"file://{path}#view=source", SHOWN)]
        row("rz, source: first view, s", first, "{:.2f}")
        shown = [times[0] for times in ranges_ms(page, "source", span_us)]
        row("rz, source: a range is selected, ms", shown, "{:.0f}")


def measure_speedscope(profile: str, folder: str, rounds: int) -> None:
    index = os.path.join(ROOT, "target/tools/node_modules/speedscope/dist/release/index.html")
    if not os.path.exists(index):
        print("speedscope is missing: run tests/setup.sh")
        return
    script = os.path.join(folder, "load.js")
    with open(profile, "rb") as file, open(script, "w") as out:
        content = base64.b64encode(file.read()).decode()
        out.write(f"speedscope.loadFileFromBase64('trace', '{content}')")
    address = f"file://{index}#localProfilePath={script}&view=left-heavy"
    seconds, heaps, processes = [], [], []
    for number in range(rounds):
        with Browser() as page:
            seconds.append(first_view(page, address, "document.title.endsWith(' - speedscope')"))
            heap, process = page.memory_mib()
            heaps.append(heap)
            processes.append(process)
            if number + 1 < rounds:
                continue
            row("speedscope: first view, s", seconds, "{:.2f}")
            row("speedscope: heap of the script, MiB", heaps, "{:.0f}")
            row("speedscope: all of the page's process, MiB", processes, "{:.0f}")
            for event in ("mousemove", "wheel"):
                row(f"speedscope: {EVENTS[event]}, ms", steps_ms(page, event), "{:.1f}")


def row(what: str, values: list[float], form: str) -> None:
    print(f"| {what} | {spread(values, form.format)} |", flush=True)


def serve(report: str, trace: str, span_us: int) -> None:
    """How long it takes until a page that is served can be looked at, and a range in it."""
    begun = time.monotonic()
    server = subprocess.Popen([report, trace, "--serve"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    try:
        address = ""
        while not address:
            line = server.stdout.readline()
            if not line:
                raise RuntimeError("report --serve has ended")
            found = re.search(r"http://127\.0\.0\.1:\d+/\S+", line)
            address = found.group(0) if found else ""
        row("report --serve: until it has an address, s", [time.monotonic() - begun], "{:.2f}")
        with Browser() as page:
            row("report --serve: first view after that, s", [first_view(page, address, SHOWN)],
                "{:.2f}")
            for view in ("flame", "table", "timeline"):
                shown, read = zip(*ranges_ms(page, view, span_us))
                row(f"report --serve, {view}: a range is selected, ms", list(shown), "{:.0f}")
                row(f"report --serve, {view}: and is read again, ms", list(read), "{:.0f}")
    finally:
        server.terminate()
        server.wait()


def span_of(samples: int) -> int:
    """Microseconds from the first to the last sample of a trace of that size."""
    return samples // THREADS * 1_000_000 // RATE


def write_trace(folder: str, samples: int, *more: str) -> str:
    os.mkdir(folder)
    subprocess.run(["cargo", "run", "--release", "--quiet", "-p", "rz-convert", "--example",
                    "write_traces", "--", folder, "1", str(samples), str(THREADS), str(PLACES),
                    *more], cwd=ROOT, check=True)
    return os.path.join(folder, "0.rz")


def main() -> None:
    options = parse_options()
    describe(options.rec)
    beside = lambda program: os.path.join(os.path.dirname(options.rec), program)
    print("\n| what | median (smallest to largest) |\n|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="rz-bench-") as folder:
        trace = write_trace(os.path.join(folder, "trace"), options.samples)
        page, profile = (os.path.join(folder, name) for name in ("t.html", "t.speedscope.json"))
        costs = [run([beside("report"), trace, "--html", page]) for _ in range(options.rounds)]
        row("report --html, s", [cost.seconds for cost in costs], "{:.2f}")
        row("report --html, peak MiB", [cost.peak_mib for cost in costs], "{:.0f}")
        row("the page, MB", [os.path.getsize(page) / 1e6], "{:.2f}")
        measure_page(page, span_of(options.samples), options.rounds)
        with_lines = write_trace(os.path.join(folder, "lines"), options.samples, "lines")
        lines = os.path.join(folder, "lines.html")
        run([beside("report"), with_lines, "--html", lines])
        row("the page with lines, MB", [os.path.getsize(lines) / 1e6], "{:.2f}")
        measure_source(lines, span_of(options.samples))
        run([beside("conv"), trace, "--quiet", "--to", "speedscope", "-o", profile])
        row("speedscope: the file, MB", [os.path.getsize(profile) / 1e6], "{:.2f}")
        measure_speedscope(profile, folder, options.rounds)
        if options.served:
            large = write_trace(os.path.join(folder, "large"), options.served)
            row("a large trace, MB", [os.path.getsize(large) / 1e6], "{:.1f}")
            serve(beside("report"), large, span_of(options.served))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  benches/page.py
  benches/page.py --served 20000000              a large one for report --serve as well
  benches/page.py --rounds 1 --samples 10000     does it work at all?""")
    parser.add_argument("--rounds", type=int, default=5, help="times that a page is opened (5)")
    parser.add_argument("--samples", type=int, default=1_000_000, help="samples (1000000)")
    parser.add_argument("--served", type=int, default=0, metavar="SAMPLES",
                        help="serve a trace of so many samples, too")
    parser.add_argument("--rec", default=REC, help="the rec beside whose conv and report are run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
