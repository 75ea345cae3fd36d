# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chromium without a window, steered by its own protocol over two pipes: nothing else is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0  # seconds for Chromium to end


def program() -> str:
    """Where Chromium is, "" where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), "")


@dataclass
class Browser:
    """A page in Chromium."""

    reading: int
    writing: int
    session: str = ""
    _count: int = 0
    _left: bytes = b""
    asked: list[str] = field(default_factory=list)  # the addresses that pages asked for

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one call of the protocol. RuntimeError where it is refused."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("method") == "Network.requestWillBeSent":
                self.asked.append(answer["params"]["request"]["url"])
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            more = os.read(self.reading, 1 << 20)
            if not more:
                raise RuntimeError("Chromium has ended.")
            self._left += more
        first, _end, self._left = self._left.partition(b"\0")
        return dict(json.loads(first))

    def run(self, expression: str) -> Any:
        """The value of a JavaScript ``expression``, awaited. RuntimeError where it throws."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"].get("exception", found["exceptionDetails"])))
        return found["result"].get("value")

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False, media: str = "") -> None:
        """Show the file ``page``."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        phone = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **phone)
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call("Page.navigate", url=page.as_uri())
        self.run(
            "new Promise(done => { const look = () =>"
            " document.readyState === 'complete' && location.protocol === 'file:' ? done() : setTimeout(look, 20);"
            " look(); })"
        )

    def press(self, *keys: str) -> None:
        """Press ``keys`` one after the other, as ``Tab`` and ``Enter``."""
        for key in keys:
            code = {"Tab": 9, "Enter": 13, " ": 32}[key]
            text = {"Enter": "\r", " ": " "}.get(key, "")
            told = {"key": key, "windowsVirtualKeyCode": code, **({"text": text} if text else {})}
            self.call("Input.dispatchKeyEvent", type="keyDown", **told)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def type(self, text: str) -> None:
        """Type ``text`` into what has the focus."""
        self.call("Input.insertText", text=text)


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A page in a Chromium of its own, which keeps what it keeps in ``folder``."""
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
    options = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--hide-scrollbars",
        "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={folder}", "about:blank",
    ]  # fmt: skip

    def place() -> None:
        os.dup2(their_in, 33)
        os.dup2(their_out, 34)
        os.dup2(33, 3)
        os.dup2(34, 4)

    process = subprocess.Popen(
        [program(), *options],
        preexec_fn=place,  # noqa: PLW1509 - the protocol is spoken on the descriptors 3 and 4
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_in)
    os.close(their_out)
    found = Browser(our_in, our_out)
    try:
        target = found.call("Target.createTarget", url="about:blank")["targetId"]
        found.session = found.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            found.call(f"{domain}.enable")
        yield found
    finally:
        found.session = ""
        with suppress(RuntimeError, OSError):
            found.call("Browser.close")
        os.close(our_out)
        os.close(our_in)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.wait()
