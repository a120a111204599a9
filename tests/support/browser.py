"""A real browser: `browser`, Chromium driven over WebDriver's own protocol.

It finds nothing beyond this machine: every name but loopback's leads nowhere.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local import processes
from tests.support.daemons import missing

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # Chromium refuses to run as root with one
    "--disable-dev-shm-usage",  # in a container it is too small
    "--accept-lang=zh-CN",  # the language of the documents
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
CAPABILITIES = {
    "goog:chromeOptions": {"args": ARGUMENTS},
    "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
}
START_TIMEOUT_S = 30.0
ENTER = "\ue007"  # WebDriver's name for the key
MARK = "FLEET_BROWSER"  # in the environment of each driver that we have started


class Browser:
    """One browser with one page."""

    def __init__(self, session: httpx.Client) -> None:
        self._session = session

    def open(self, address: str) -> None:
        """Go to a page; return when it has loaded."""
        self._ask("url", {"url": address})

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        return self._ask("execute/sync", {"script": f"return {expression}", "args": []})

    def type(self, text: str) -> None:
        """Press keys in what has the focus; a line's end is the Enter key."""
        focused = self._session.get("element/active").raise_for_status().json()["value"]
        (element,) = focused.values()
        self._ask(f"element/{element}/value", {"text": text.replace("\n", ENTER)})

    def complaints(self) -> list[str]:
        """Return what the browser itself has said of the page since this was last asked."""
        return [entry["message"] for entry in self._ask("se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """Return the addresses of all requests, also failed ones, since this was last asked."""
        entries = self._ask("se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in entries]
        sent = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in sent]

    def _ask(self, command: str, body: dict[str, Any]) -> Any:
        answer = self._session.post(command, json=body)
        assert answer.is_success, answer.text
        return answer.json()["value"]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A browser for one test."""
    if shutil.which("chromedriver") is None:
        missing("Chromium and chromedriver are not installed")
    with _driver(tmp_path) as http:
        started = http.post("/session", json={"capabilities": {"alwaysMatch": CAPABILITIES}})
        assert started.is_success, started.text
        session = f"/session/{started.json()['value']['sessionId']}/"
        with httpx.Client(base_url=http.base_url.join(session), timeout=http.timeout) as client:
            yield Browser(client)
        http.delete(session.rstrip("/"))


@contextmanager
def _driver(directory: Path) -> Iterator[httpx.Client]:
    """Run the program that starts and drives browsers."""
    port = processes.free_port()
    env = os.environ | {MARK: str(directory)}
    pid = processes.spawn(["chromedriver", f"--port={port}"], env, directory / "driver.log")
    try:
        assert processes.wait_until(lambda: processes.listens(port), timeout_s=START_TIMEOUT_S)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            yield http
    finally:
        processes.end(pid, f"{MARK}={directory}")
