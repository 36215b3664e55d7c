"""A page in headless Chromium, spoken to over a pipe in the words of the DevTools protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: What Chromium is called where it is installed; ``DSE_CHROMIUM`` names another.
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str | None:
    """Return the path of Chromium; None where there is none."""
    named = os.environ.get("DSE_CHROMIUM")
    return named or next(filter(None, map(shutil.which, _NAMES)), None)


class Page:
    """One page of a browser."""

    def __init__(self, answers: int, questions: int) -> None:
        """Open a page; both are the browser's ends of pipes."""
        self._answers, self._questions = answers, questions
        self._rest = b""
        self._number = 0
        self._events: deque[dict[str, Any]] = deque()
        self._session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.ask("Page.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command; RuntimeError where the browser refuses it."""
        self._number += 1
        told = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            told["sessionId"] = self._session
        left = json.dumps(told).encode() + b"\0"
        while left:
            left = left[os.write(self._questions, left) :]
        while (answer := self._next()).get("id") != self._number:
            self._events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def wait(self, event: str) -> dict[str, Any]:
        """Return the next event of a name."""
        while True:
            told = self._events.popleft() if self._events else self._next()
            if told.get("method") == event:
                return told["params"]

    def open(self, url: str, width: int, height: int = 900, scheme: str = "light") -> None:
        """Load a page at a size in CSS pixels, in light or dark colours."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", features=[feature])
        self._events.clear()
        self.ask("Page.navigate", url=url)
        self.wait("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """Return the value of an expression, or what it promises."""
        told = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in told:
            raise RuntimeError(str(told["exceptionDetails"]))
        return told["result"].get("value")

    def _next(self) -> dict[str, Any]:
        """Return the next message; they are JSON, each ended by a zero."""
        while b"\0" not in self._rest:
            part = os.read(self._answers, 1 << 16)
            if not part:
                raise RuntimeError("the browser has ended")
            self._rest += part
        told, _, self._rest = self._rest.partition(b"\0")
        return json.loads(told)


@contextmanager
def page() -> Iterator[Page]:
    """Start Chromium with an empty profile, yield its page, and end it.

    Raises:
        RuntimeError: it is not installed, or does not answer.
    """
    path = chromium()
    if path is None:
        raise RuntimeError("Chromium is not installed; DSE_CHROMIUM may name it")
    (asked, ask), (answers, answer) = os.pipe(), os.pipe()

    def with_pipes() -> None:  # the browser reads from 3 and writes to 4
        spare = os.dup(answer)
        os.dup2(asked, 3)
        os.dup2(spare, 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [path, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
                 "--disable-background-networking", f"--user-data-dir={profile}"]  # fmt: skip
        with subprocess.Popen(
            words, pass_fds=(3, 4), preexec_fn=with_pipes,  # noqa: PLW1509 - no other thread runs
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            os.close(asked)
            os.close(answer)
            try:
                yield Page(answers, ask)
            finally:
                process.kill()
                os.close(ask)
                os.close(answers)
