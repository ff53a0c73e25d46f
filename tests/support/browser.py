"""Headless Chromium over the DevTools protocol, as far as tests of pages need it.

A page is opened, scripts are evaluated in it, keys are pressed and pictures taken. Every request
that the browser makes for the page is kept, so that a test can say that there was none.
"""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

INSTALL_LINE = "apt-get install -y chromium"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_SECONDS = 60
_ANSWER_SECONDS = 60
_LOOK_SECONDS = 0.05  # between two looks at something that is waited for


def find_browser() -> str | None:
    """The browser's program; None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


needs_browser = pytest.mark.skipif(
    find_browser() is None, reason=f"no Chromium here: {INSTALL_LINE}"
)


class PageError(AssertionError):
    """A script in the page failed."""


class Page:
    """A tab. ``requests`` are the addresses of all that it asked for, ``errors`` what its console
    and its policy complained of."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last_id = 0
        self.requests: list[str] = []
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command of the protocol."""
        self._last_id += 1
        self._socket.send(json.dumps({"id": self._last_id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=_ANSWER_SECONDS))
            if message.get("id") == self._last_id:
                if "error" in message:
                    raise PageError(f"{method}: {message['error']}")
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(parameters["exceptionDetails"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.errors.append(parameters["entry"]["text"])

    def open(self, address: str) -> None:
        """Go to an address, and wait until the report there is drawn."""
        self.call("Page.navigate", url=address)
        self.wait_for("document.documentElement?.dataset.ready === 'true'")

    def evaluate(self, script: str) -> Any:
        """The value of an expression, once it is there where it is a promise."""
        result = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise PageError(f"{script}: {json.dumps(result['exceptionDetails'])[:2000]}")
        return result["result"].get("value")

    def wait_for(self, condition: str, seconds: float = 30) -> None:
        """Wait until an expression is true. Raises PageError when it does not become so."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(condition):
            if time.monotonic() > deadline:
                raise PageError(f"never true: {condition}; errors: {self.errors}")
            time.sleep(_LOOK_SECONDS)

    def click(self, selector: str) -> None:
        """Press and release the mouse at the middle of the first element that fits."""
        quoted = json.dumps(selector)
        self.wait_for(f"document.querySelector({quoted}) !== null")
        place = self.evaluate(
            f"(() => {{ const e = document.querySelector({quoted}); e.scrollIntoView("
            "{block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    def choose(self, selector: str, value: str) -> None:
        """Choose a value of a select, as a reader does."""
        self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            f"e.value = {json.dumps(value)}; e.dispatchEvent(new Event('change')); }})()"
        )

    def press(self, key: str, code: int) -> None:
        """Press and release a key. ``code`` is its virtual key code."""
        text = "\r" if key == "Enter" else ""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                text=text if kind == "keyDown" else "",
            )

    def set_size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer_colours(self, scheme: str) -> None:
        """Ask for the colours "light" or "dark", as the reader's system would."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def save_picture(self, path: Path) -> None:
        """A picture of the whole page, as a PNG file."""
        result = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(result["data"]))


@contextmanager
def open_browser(folder: Path) -> Iterator[Page]:
    """A tab of a browser of its own, whose profile is in ``folder``."""
    program = find_browser()
    assert program is not None, INSTALL_LINE
    command = [
        program,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--no-first-run", "--disable-background-networking", "--remote-debugging-port=0"),
        *(f"--user-data-dir={folder}", "about:blank"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _wait_for_port(folder / "DevToolsActivePort", process)
        address = _find_tab(port)
        with connect(address, max_size=None, open_timeout=_START_SECONDS) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(timeout=_START_SECONDS)


def _wait_for_port(path: Path, process: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the browser ended"
        # The file is there a moment before its lines are.
        if path.exists() and (lines := path.read_text().splitlines()):
            return int(lines[0])
        time.sleep(_LOOK_SECONDS)
    raise TimeoutError(f"the browser did not start within {_START_SECONDS} s")


def _find_tab(port: int) -> str:
    """The address of the first tab's socket."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as response:
        tabs = json.load(response)
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
