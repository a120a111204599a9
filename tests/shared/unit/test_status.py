"""What follows from LXD's words for a state."""

from __future__ import annotations

import pytest

from services.gateway.responses.vms import ERROR, PAUSED, RUNNING, STOPPED, status
from shared.contracts.status import Status, is_alive, is_frozen, is_running
from tests.support.builders import a_documented_instance


@pytest.mark.parametrize(
    ("word", "alive", "running", "shown"),
    [
        (Status.STOPPED, False, False, STOPPED),
        (Status.STARTING, True, False, STOPPED),
        (Status.STARTED, True, True, RUNNING),
        (Status.RUNNING, True, True, RUNNING),
        (Status.READY, True, True, RUNNING),
        (Status.FREEZING, True, False, RUNNING),
        (Status.FROZEN, True, False, PAUSED),
        (Status.THAWED, True, True, RUNNING),
        (Status.STOPPING, True, False, RUNNING),
        (Status.ABORTING, True, False, RUNNING),
        (Status.ERROR, True, False, ERROR),
        ("a word of a later LXD", True, False, ERROR),
    ],
)
def test_a_state_is_read_alike_by_worker_and_gateway(
    word: str, alive: bool, running: bool, shown: str
) -> None:
    assert (is_alive(word), is_running(word)) == (alive, running)
    assert is_frozen(word) is (word == Status.FROZEN)
    assert status(a_documented_instance(status=word)) == shown
