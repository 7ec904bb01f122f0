"""A Chromium without a window that does as it is told, by the DevTools protocol over a
pair of pipes."""

import json
import os
import shutil
import subprocess
import tempfile


class Browser:
    """A page in a browser of its own."""

    def __init__(self, width: int = 1280, height: int = 800) -> None:
        self._folder = tempfile.mkdtemp(prefix="rz-bench-")
        here, there = os.pipe(), os.pipe()
        line = [shutil.which("chromium") or "chromium", "--headless", "--no-sandbox",
                "--disable-gpu", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--allow-file-access-from-files",
                "--enable-precise-memory-info", f"--window-size={width},{height}",
                f"--user-data-dir={self._folder}", "--remote-debugging-pipe"]
        # The numbers that it reads and writes are fixed.
        script = f'exec "$@" 3<&{here[0]} 4>&{there[1]}'
        self._process = subprocess.Popen(["sh", "-c", script, "sh", *line],
                                         pass_fds=(here[0], there[1]), stderr=subprocess.DEVNULL)
        os.close(here[0])
        os.close(there[1])
        self._to, self._from = os.fdopen(here[1], "wb"), os.fdopen(there[0], "rb")
        self._number, self._rest, self._session = 0, b"", None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Performance", "HeapProfiler"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._to.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._from.close()
        # It may still be writing there.
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, method: str, **parameters: object) -> dict:
        """Calls a method, and waits for its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                break
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _read(self) -> dict:
        while b"\0" not in self._rest:
            part = self._from.read1(1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def open(self, address: str) -> None:
        """Begins to load a page."""
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> object:
        """The value of an expression, or what it promises."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True,
                           returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"].get("description", "?"))
        return result["result"].get("value")

    def busy_s(self) -> float:
        """How long the page's main thread has worked."""
        metrics = self.call("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    def memory_mib(self) -> tuple[float, float]:
        """The heap of the page's script after a collection, and all that its process has."""
        self.call("HeapProfiler.collectGarbage")
        heap = self.run("performance.memory.usedJSHeapSize")
        return heap / 2**20, max(self._renderers(), default=0) / 1024

    def _renderers(self) -> list[int]:
        """Resident KiB of processes that show pages."""
        sizes = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read()
                if b"--type=renderer" not in words or self._folder.encode() not in words:
                    continue
                with open(f"/proc/{pid}/status") as file:
                    lines = dict(line.split(":", 1) for line in file)
                sizes.append(int(lines["VmRSS"].split()[0]))
            except (OSError, KeyError):
                continue
        return sizes
