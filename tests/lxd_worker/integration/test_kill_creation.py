"""`kill -9` of the worker, and of LXD, in the middle of a creation, on a real LXD."""

from __future__ import annotations

import io
import os
import platform
import sys
import tarfile
from pathlib import Path

import pytest

from shared.contracts.codec import to_wire
from shared.contracts.instance_config import ImageSource
from shared.contracts.operations import Secrets, State, Submission
from tests.support.bus_side import BusSide, creation
from tests.support.lifecycle import Lifecycle
from tests.support.lxd import Instances, Lxd, OwnLxd
from tests.support.worker_process import Prepare

SCRIPT = Path(__file__).with_name("killed_worker.py")
BIG = 400 << 20


@pytest.fixture
def settings() -> dict[str, str]:
    """Other sessions' instances are promised something as well."""
    return {"FLEET_OVERCOMMIT_CPU": "1000"}


# Journalled and never asked for; asked for and not noted; noted; done and its end not noted.
KILLS = [("after", 2), ("before", 3), ("after", 3), ("before", 5)]


@pytest.mark.parametrize(("when", "write"), KILLS)
def test_after_kill_9_an_instance_is_there_whole_or_not_at_all(
    when: str,
    write: int,
    lxd: Lxd,
    bus: BusSide,
    instances: Instances,
    lifecycle: Lifecycle,
    prepare: Prepare,
) -> None:
    new = creation(instances.name("new"))
    doomed = prepare(lxd.socket)
    doomed.command = [sys.executable, str(SCRIPT), when, str(write)]
    doomed.start()
    bus.reach()

    bus.send("submit", to_wire(new))
    doomed.wait()
    prepare(lxd.socket).start()
    bus.reach()
    outcome = bus.ended(new.operation_id)

    made = lifecycle.of(new.instance)
    there = f"/1.0/instances/{new.instance}" in lxd.call("GET", "/1.0/instances")
    if outcome.state is State.DONE:
        assert (there, made) == (True, ["created"])
    else:
        assert outcome.failure is not None
        assert (outcome.failure.code, there) == ("step_interrupted", False)
        assert made in ([], ["created", "deleted"])


def prepared_and_killed(
    name: str, lxd: Lxd, bus: BusSide, prepare: Prepare, *, start_within_s: float = 60.0
) -> Submission:
    """Have a worker accept a creation and die before it answers; start the next one.

    The time to start is counted from the acceptance, not from the start of a worker.
    """
    doomed = prepare(lxd.socket)
    doomed.command = [sys.executable, str(SCRIPT), "after", "1"]
    doomed.start()
    bus.reach()
    new = creation(name, start_within_s=start_within_s)
    bus.send("prepare", to_wire(new))
    doomed.wait()
    prepare(lxd.socket).start()
    bus.reach()
    return new


def test_secrets_still_come_to_a_worker_that_was_killed_before_it_had_them(
    lxd: Lxd, bus: BusSide, instances: Instances, prepare: Prepare
) -> None:
    new = prepared_and_killed(instances.name("new"), lxd, bus, prepare)
    waiting = bus.resolve(new.operation_id)

    bus.deliver_secrets(new.operation_id, root_password="correct-horse")
    outcome = bus.ended(new.operation_id)

    assert waiting is not None
    assert (waiting.state, outcome.state) == (State.ACCEPTED, State.DONE)
    made = lxd.call("GET", f"/1.0/instances/{new.instance}")
    assert "root:correct-horse" in made["config"]["cloud-init.user-data"]


def test_without_them_it_ends_as_not_started(
    lxd: Lxd, bus: BusSide, instances: Instances, lifecycle: Lifecycle, prepare: Prepare
) -> None:
    name = instances.name("new")
    new = prepared_and_killed(name, lxd, bus, prepare, start_within_s=5.0)

    outcome = bus.ended(new.operation_id)

    assert outcome.failure is not None
    assert (outcome.state, outcome.failure.code) == (State.CANCELLED, "secrets_not_received")
    assert lifecycle.of(new.instance) == []


def test_a_worker_killed_with_the_secrets_in_hand_makes_nothing_without_them(
    lxd: Lxd, bus: BusSide, instances: Instances, lifecycle: Lifecycle, prepare: Prepare
) -> None:
    new = creation(instances.name("new"))
    doomed = prepare(lxd.socket)
    doomed.command = [sys.executable, str(SCRIPT), "after", "2"]
    doomed.start()
    bus.reach()
    bus.prepare(new)

    sent = to_wire(Secrets(root_password="correct-horse"))
    bus.send("deliver_secrets", new.operation_id, sent)
    doomed.wait()
    prepare(lxd.socket).start()
    bus.reach()
    outcome = bus.ended(new.operation_id)

    assert outcome.failure is not None
    assert (outcome.state, outcome.failure.code) == (State.FAILED, "step_interrupted")
    assert lifecycle.of(new.instance) == []


@pytest.mark.slow
def test_what_lxd_was_killed_at_is_taken_away_when_it_is_back(
    own_lxd: OwnLxd, bus: BusSide, prepare: Prepare
) -> None:
    image = own_lxd.call("POST", "/1.0/images", big_image())["fingerprint"]
    prepare(own_lxd.socket).start()
    bus.reach()
    new = creation("new", image=ImageSource(fingerprint=image))
    bus.submit(new)
    bus.until(lambda: "/1.0/instances/new" in own_lxd.call("GET", "/1.0/instances"))

    own_lxd.kill()
    own_lxd.start()
    outcome = bus.ended(new.operation_id)

    assert outcome.failure is not None
    assert (outcome.state, outcome.failure.code) == (State.FAILED, "step_interrupted")
    assert own_lxd.call("GET", "/1.0/instances") == []


def big_image() -> bytes:
    """Return an image that takes LXD seconds to unpack."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        metadata = f"architecture: {platform.machine()}\ncreation_date: 1700000000\n".encode()
        for name, content in (("metadata.yaml", metadata), ("rootfs/big", os.urandom(BIG))):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
