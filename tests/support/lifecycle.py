"""LXD's lifecycle events as a test sees them: the proof of what LXD was made to do, and how often.

It listens in a thread of its own.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import unix_connect

ARRIVAL_S = 0.2


class Lifecycle:
    """Collects LXD's events from its making until it is closed."""

    def __init__(self, socket: Path) -> None:
        # LXD never answers a closing frame.
        connecting = unix_connect(
            str(socket), "ws://lxd/1.0/events?type=lifecycle", close_timeout=0.1
        )
        self._open = ExitStack()
        self._connection = self._open.enter_context(connecting)
        self._heard: list[tuple[str, str]] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._open.close()
        self._thread.join()

    def of(self, instance: str) -> list[str]:
        """Return what happened to an instance so far, without `instance-`.

        Gives what LXD has said already a moment to arrive.
        """
        time.sleep(ARRIVAL_S)
        return [
            action.removeprefix("instance-") for name, action in self._heard if name == instance
        ]

    def _listen(self) -> None:
        try:
            for message in self._connection:
                what = json.loads(message)["metadata"]
                self._heard.append((what["source"].rpartition("/")[2], what["action"]))
        except ConnectionClosed:
            return
