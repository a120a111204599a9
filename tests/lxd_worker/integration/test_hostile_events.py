"""An event of LXD's that cannot be read ends nothing, and nothing is missed for it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from shared.contracts.errors import LxdUnavailable
from shared.lxd.client import LxdClient
from shared.lxd.events import MOST_EVENT_BYTES, listen
from shared.lxd.models import LifecycleEvent
from shared.lxd.scope import LxdScope
from tests.lxd_double import DoubledInstance, LxdDouble

pytestmark = pytest.mark.attack

MISSED = "missed"


class Listener:
    """Hears a double's events in a thread of its own."""

    def __init__(self, double: LxdDouble) -> None:
        self.heard: queue.Queue[object] = queue.Queue()
        self.opened = threading.Event()
        self.reasons: list[str] = []
        self._client = LxdClient(double.socket, "h1")
        self.thread = threading.Thread(target=self._listen)

    def _listen(self) -> None:
        with suppress(LxdUnavailable):
            listen(self._client, LxdScope(), self.opened.set, self.heard.put, self._on_unreadable)

    def _on_unreadable(self, reason: str) -> None:
        self.reasons.append(reason)
        self.heard.put(MISSED)


@pytest.fixture
def double(double: LxdDouble) -> LxdDouble:
    double.add(DoubledInstance("web"))
    return double


@pytest.fixture
def listener(double: LxdDouble) -> Iterator[Listener]:
    made = Listener(double)
    made.thread.start()
    assert made.opened.wait(timeout=5)
    yield made
    double.go_away()
    made.thread.join(timeout=5)


@pytest.mark.parametrize(
    "metadata",
    [None, 5, [], {"action": None}, {"action": "instance-updated", "source": 5}, "\ud800"],
)
def test_what_comes_after_an_event_that_cannot_be_read_is_heard(
    double: LxdDouble, listener: Listener, metadata: Any
) -> None:
    double.emit(metadata)
    double.change_state("web", "start")

    assert listener.heard.get(timeout=5) == MISSED
    after = listener.heard.get(timeout=5)
    assert isinstance(after, LifecycleEvent)
    assert after.metadata.action == "instance-started"
    assert len(listener.reasons) == 1


def test_an_event_without_end_ends_the_listening_and_counts_as_missed(
    double: LxdDouble, listener: Listener
) -> None:
    double.emit({"action": "x" * (MOST_EVENT_BYTES + 1)})

    assert listener.heard.get(timeout=5) == MISSED
    listener.thread.join(timeout=5)
    assert not listener.thread.is_alive()


def test_an_event_that_is_long_is_heard(double: LxdDouble, listener: Listener) -> None:
    double.emit({"action": "instance-updated", "source": "x" * (MOST_EVENT_BYTES // 2)})

    assert isinstance(listener.heard.get(timeout=5), LifecycleEvent)
