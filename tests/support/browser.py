"""A headless Chromium for the tests of the page, over its debugging pipe: no package is needed for it."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
           "--no-first-run", "--disable-extensions", "--disable-background-networking",
           "--remote-debugging-pipe")  # fmt: skip
SECONDS = 60
LEAST_PASSED = 10
"""The pipes' ends are passed under numbers from here on, so that making them 3 and 4 overwrites neither."""
AS_FILES_3_AND_4 = """import os, sys
for number, end in ((3, sys.argv[1]), (4, sys.argv[2])):
    os.dup2(int(end), number)
os.execv(sys.argv[3], sys.argv[3:])
"""


def installed() -> str | None:
    """The path of a Chromium on this machine; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One Chromium with one page; `requests`, `errors` are what happened since the page was opened."""

    def __init__(self, program: str, profile: Path) -> None:
        """Starts the program. It reads commands from its file 3 and writes answers to its file 4."""
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()
        passed = [fcntl.fcntl(end, fcntl.F_DUPFD, LEAST_PASSED) for end in (commands, answers)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", AS_FILES_3_AND_4, *map(str, passed), program, *OPTIONS,
             f"--user-data-dir={profile}", "about:blank"],
            pass_fds=passed, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        for end in (commands, answers, *passed):
            os.close(end)
        self.buffer, self.number = b"", 0
        self.events: list[dict[str, Any]] = []
        self.session: str | None = None
        target = self._started()
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        """The browser itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the program and all processes that it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.commands)
        os.close(self.answers)

    def _started(self) -> str:
        """The first page's target, as soon as it is there."""
        for _ in range(100):
            targets = self.call("Target.getTargets")["targetInfos"]
            pages = [target["targetId"] for target in targets if target["type"] == "page"]
            if pages:
                return str(pages[0])
            time.sleep(0.1)
        raise TimeoutError("Chromium opened no page")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command and returns its result; events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message(SECONDS)
            if answer is None:
                raise TimeoutError(f"no answer to {method}")
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self.events.append(answer)

    def _message(self, seconds: float) -> dict[str, Any] | None:
        """The next message; None if none comes in time."""
        while b"\0" not in self.buffer:
            if not select.select([self.answers], [], [], seconds)[0]:
                return None
            chunk = os.read(self.answers, 1 << 20)
            if not chunk:
                raise EOFError("Chromium has ended")
            self.buffer += chunk
        message, _, self.buffer = self.buffer.partition(b"\0")
        return dict(json.loads(message))

    def open(self, page: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> float:
        """Opens a file and returns the seconds until it was loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        start = time.monotonic()
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            event = self._message(SECONDS)
            if event is None:
                raise TimeoutError(f"{page} does not load")
            self.events.append(event)
        return time.monotonic() - start

    def cpu_seconds(self) -> float:
        """Processor time of all of the browser's processes so far: unlike the clock, the same on a busy machine."""
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                continue
            if int(fields[3]) == self.process.pid:  # the session that the browser started
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited where it is a promise."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"])[:2000])
        return result["result"].get("value")

    def until(self, script: str, seconds: float = 20) -> Any:
        """The value of an expression as soon as it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.05)
        raise TimeoutError(f"never true: {script}")

    def key(self, key: str, code: int, text: str = "") -> None:
        """Presses and releases a key."""
        shared = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **shared)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    @property
    def requests(self) -> list[str]:
        """What the page asked for, itself included."""
        return [event["params"]["request"]["url"] for event in self._of("Network.requestWillBeSent")]

    @property
    def errors(self) -> list[str]:
        """Errors and warnings of the console, and uncaught exceptions."""
        logged = [event["params"]["entry"]["text"] for event in self._of("Log.entryAdded")]
        calls = [event["params"] for event in self._of("Runtime.consoleAPICalled")]
        thrown = [event["params"]["exceptionDetails"]["text"] for event in self._of("Runtime.exceptionThrown")]
        return [*logged, *(str(call["args"]) for call in calls if call["type"] in ("error", "warning")), *thrown]

    def _of(self, method: str) -> list[dict[str, Any]]:
        self.run("0")  # events that happened before are answered before
        return [event for event in self.events if event.get("method") == method]

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """Writes a PNG of the page."""
        result = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(result["data"]))


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser; there must be one (`installed`)."""
    program = installed()
    if program is None:
        raise FileNotFoundError("no Chromium")
    with Browser(program, profile) as browser:
        yield browser
