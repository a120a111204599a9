"""Another root for a container on a real LXD, and what is left of both when somebody is killed."""

from __future__ import annotations

import io
import platform
import secrets
import socket
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deploy.local import lxd_api, lxd_daemon
from services.lxd_worker.lxd.daemon import LxdDaemon
from shared.contracts.codec import to_wire
from shared.contracts.errors import ImageNotFound, TrashNotFound
from shared.contracts.events import InstanceRemoved, Inventory
from shared.contracts.instance_config import ImageSource
from shared.contracts.operations import Kind, Operation, State, Submission
from shared.lxd.client import LxdClient
from shared.lxd.scope import LxdScope
from tests.support.bus_side import BusSide, creation, submission
from tests.support.lifecycle import Lifecycle
from tests.support.lxd import Instances, Lxd
from tests.support.lxd_worker.wire import Omissions
from tests.support.worker_process import Prepare, WorkerProcess

SCRIPT = Path(__file__).with_name("killed_worker.py")
MIB = 1 << 20
OLD = "/root/of-the-old-one"


@pytest.fixture
def settings(nat_settings: dict[str, str]) -> dict[str, str]:
    return nat_settings | {"FLEET_OVERCOMMIT_MEMORY": "1000", "FLEET_OVERCOMMIT_DISK": "1000"}


def an_order(kind: Kind, name: str, uuid: str, alias: str = "busybox") -> Submission:
    image = ImageSource(alias=alias) if kind is Kind.REBUILD else None
    return submission(kind, name, uuid, arguments={"image": image, "stop_timeout_s": 1.0})


def carried_out(bus: BusSide, kind: Kind, name: str, uuid: str) -> Operation:
    return bus.carry_out(an_order(kind, name, uuid))


def sharing(lxd: Lxd, uuid: str) -> dict[str, dict[str, Any]]:
    """Return all that LXD has with a uuid, by name."""
    listed = lxd.call("GET", "/1.0/instances?recursion=1")
    return {one["name"]: one for one in listed if one["config"].get("volatile.uuid") == uuid}


def is_old(lxd: Lxd, name: str) -> bool:
    """Whether a root is the one that was marked.

    LXD's own API of files is not asked: for 10 s after it was, the instance does not start.
    """
    roots = lxd.socket.parent / "storage-pools" / "default" / "containers"
    return Path(f"{roots}/{name}/rootfs{OLD}").exists()


def mark_root(lxd: Lxd, name: str) -> None:
    """Make a directory that only this root has."""
    body = {"command": ["/bin/busybox", "mkdir", "-p", OLD], "wait-for-websocket": False}
    lxd.call("POST", f"/1.0/instances/{name}/exec", body)


@contextmanager
def cleared(lxd: Lxd, uuid: str) -> Iterator[None]:
    """Delete whatever has the uuid afterwards, under whichever name."""
    try:
        yield
    finally:
        for name in sharing(lxd, uuid):
            lxd_daemon.force_delete(lxd.socket, name)


@pytest.fixture
def web(worker: WorkerProcess, bus: BusSide, instances: Instances) -> Iterator[tuple[str, str]]:
    """Name and uuid of a running instance with limits, labels, ports, a note and a file."""
    new = creation(
        instances.name("web"),
        display_name="Web Server",
        description="for the shop",
        labels={"tier": "front"},
        ssh=True,
        ports=3,
        auto_start=True,
    )
    with cleared(instances.lxd, new.uuid):
        bus.prepare(new)
        bus.deliver_secrets(new.operation_id, root_password="correct-horse")
        assert bus.ended(new.operation_id).state is State.DONE
        mark_root(instances.lxd, new.instance)
        yield new.instance, new.uuid


def settings_of(described: dict[str, Any]) -> dict[str, str]:
    """Return what is set of an instance, and its addresses."""
    ours = ("user.lxdfleet.root", "user.lxdfleet.trash")
    return {
        key: text
        for key, text in described["config"].items()
        if not key.startswith(("volatile.", "image.")) and key not in ours
    } | {key: text for key, text in described["config"].items() if key.endswith(".hwaddr")}


def test_all_but_the_root_is_as_it_was(
    bus: BusSide, instances: Instances, web: tuple[str, str], first_port: int
) -> None:
    name, uuid = web
    before = sharing(instances.lxd, uuid)[name]

    operation = carried_out(bus, Kind.REBUILD, name, uuid)

    there = sharing(instances.lxd, uuid)
    after = there.pop(name)
    assert (operation.failure, operation.state) == (None, State.DONE)
    assert (after["status"], is_old(instances.lxd, name)) == ("Running", False)
    assert settings_of(after) == settings_of(before)
    for same in ("devices", "description", "profiles", "expanded_devices"):
        assert after[same] == before[same], same
    assert operation.after is not None
    assert (operation.after.uuid, operation.after.display_name) == (uuid, "Web Server")
    assert operation.after.trash is not None
    assert set(there) == {operation.after.trash.name}
    assert operation.after.trash.size == 64 * MIB
    with socket.create_connection(("127.0.0.1", first_port), timeout=5):
        pass


def test_what_is_kept_holds_nothing_that_the_instance_needs(
    bus: BusSide, instances: Instances, web: tuple[str, str]
) -> None:
    name, uuid = web
    operation = carried_out(bus, Kind.REBUILD, name, uuid)

    assert operation.after is not None
    assert operation.after.trash is not None
    trash = sharing(instances.lxd, uuid)[operation.after.trash.name]
    kinds = {device["type"] for device in trash["expanded_devices"].values()}
    assert (trash["status"], kinds) == ("Stopped", {"disk", "none"})
    assert trash["config"]["boot.autostart"] == "false"
    assert not [key for key in trash["config"] if key.endswith(".hwaddr")]
    assert is_old(instances.lxd, operation.after.trash.name)


def test_it_is_in_no_list_and_the_instance_is_never_missed(
    bus: BusSide, instances: Instances, web: tuple[str, str]
) -> None:
    name, uuid = web
    bus.call("publish_inventory")

    operation = carried_out(bus, Kind.REBUILD, name, uuid)
    assert operation.state is State.DONE
    seen = len(bus.of(Inventory))
    bus.call("publish_inventory")
    bus.until(lambda: len(bus.of(Inventory)) > seen)

    listed = [one for one in bus.of(Inventory)[-1].instances if one.uuid == uuid]
    assert [one.name for one in listed] == [name]
    assert operation.after is not None
    assert listed[0].trash == operation.after.trash
    assert name not in [event.name for event in bus.of(InstanceRemoved)]


def test_a_revert_brings_the_root_back_with_what_was_set_since(
    bus: BusSide, instances: Instances, web: tuple[str, str]
) -> None:
    name, uuid = web
    instances.lxd.call("POST", f"/1.0/instances/{name}/snapshots", {"name": "s1"})
    assert carried_out(bus, Kind.REBUILD, name, uuid).state is State.DONE
    changed = {"config": {"limits.cpu": "2"}}
    instances.lxd.call("PATCH", f"/1.0/instances/{name}", changed)
    before = sharing(instances.lxd, uuid)[name]

    operation = carried_out(bus, Kind.REVERT, name, uuid)

    after = sharing(instances.lxd, uuid)[name]
    assert (operation.failure, operation.state) == (None, State.DONE)
    assert (after["status"], is_old(instances.lxd, name)) == ("Running", True)
    assert settings_of(after) == settings_of(before)
    assert after["devices"] == before["devices"]
    assert instances.lxd.call("GET", f"/1.0/instances/{name}/snapshots") == [
        f"/1.0/instances/{name}/snapshots/s1"
    ]
    assert len(sharing(instances.lxd, uuid)) == 2


def test_a_second_revert_is_the_rebuild_again(
    bus: BusSide, instances: Instances, web: tuple[str, str]
) -> None:
    name, uuid = web
    ended = [
        carried_out(bus, kind, name, uuid).state
        for kind in (Kind.REBUILD, Kind.REVERT, Kind.REVERT)
    ]

    assert ended == [State.DONE] * 3
    assert is_old(instances.lxd, name) is False


def test_after_a_second_rebuild_the_first_ones_trash_goes(
    bus: BusSide, instances: Instances, web: tuple[str, str], worker: WorkerProcess
) -> None:
    name, uuid = web
    first = carried_out(bus, Kind.REBUILD, name, uuid).after
    second = carried_out(bus, Kind.REBUILD, name, uuid).after
    assert first
    assert second
    assert first.trash
    assert second.trash
    assert set(sharing(instances.lxd, uuid)) >= {name, second.trash.name}

    # It looks for trash when it starts, and then once a minute.
    worker.stop()
    worker.start()
    bus.until(lambda: set(sharing(instances.lxd, uuid)) == {name, second.trash.name}, 90.0)


def test_of_trash_that_is_gone_the_note_is_taken_away_and_nothing_else(
    lxd: Lxd, instances: Instances
) -> None:
    name = instances.launch("web", config={"user.lxdfleet.trash": "u trash-web 1 0", "user.x": "y"})
    path, omit = f"/1.0/instances/{name}", Omissions()
    lxd.call("PATCH", path, {"description": "for the shop"})
    daemon = LxdDaemon(LxdClient(lxd.socket, "h1"), 1 << 30, LxdScope(), omit)

    daemon.forget_trash("default", name)

    left = lxd.call("GET", path)
    assert (left["description"], left["config"]["user.x"]) == ("for the shop", "y")
    assert "user.lxdfleet.trash" not in left["config"]


def test_a_stopped_one_stays_stopped(
    bus: BusSide, instances: Instances, web: tuple[str, str]
) -> None:
    name, uuid = web
    instances.set_state(name, "stop", force=True)

    operation = carried_out(bus, Kind.REBUILD, name, uuid)

    assert (operation.failure, operation.state) == (None, State.DONE)
    assert instances.status(name) == "Stopped"
    instances.set_state(name, "start")
    assert is_old(instances.lxd, name) is False


def test_what_cannot_be_had_is_refused_and_nothing_is_touched(
    bus: BusSide, instances: Instances, lifecycle: Lifecycle, web: tuple[str, str]
) -> None:
    name, uuid = web

    with pytest.raises(ImageNotFound):
        bus.submit(an_order(Kind.REBUILD, name, uuid, "nix"))
    with pytest.raises(TrashNotFound):
        bus.submit(an_order(Kind.REVERT, name, uuid))

    assert set(sharing(instances.lxd, uuid)) == {name}
    assert lifecycle.of(name)[-1:] == ["exec"]


def test_a_root_that_does_not_start_gives_way_to_the_old_one(
    bus: BusSide, instances: Instances, web: tuple[str, str], broken_image: str
) -> None:
    name, uuid = web
    before = sharing(instances.lxd, uuid)[name]
    order = an_order(Kind.REBUILD, name, uuid, broken_image)

    bus.submit(order)
    operation = bus.ended(order.operation_id)

    there = sharing(instances.lxd, uuid)
    assert operation.state is State.FAILED
    assert set(there) == {name}
    assert (there[name]["status"], is_old(instances.lxd, name)) == ("Running", True)
    assert settings_of(there[name]) == settings_of(before)
    assert there[name]["devices"] == before["devices"]


@pytest.fixture
def broken_image(lxd: Lxd) -> Iterator[str]:
    """The alias of an image without a program to start."""
    alias = f"broken-{secrets.token_hex(3)}"
    image = lxd.call("POST", "/1.0/images", image_without_init(alias))["fingerprint"]
    lxd.call("POST", "/1.0/images/aliases", {"name": alias, "target": image})
    yield alias
    lxd.call("DELETE", f"/1.0/images/{image}")


def image_without_init(name: str) -> bytes:
    """Return an image that LXD can unpack and not start."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        metadata = f"architecture: {platform.machine()}\ncreation_date: 1700000000\n".encode()
        for path, content in (("metadata.yaml", metadata), ("rootfs/name", name.encode())):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


# The writes of the journal: the acceptance, two for each step (seven or eight), the end.
FORWARD = range(2, 17)
# From the first step back on, when the new root does not start.
BACK = range(19, 30)


def kills(writes: range, *quick: tuple[str, int]) -> list[Any]:
    """Return every write, each with a death before and after it; all but a few are slow."""
    return [
        pytest.param(when, write, marks=() if (when, write) in quick else pytest.mark.slow)
        for write in writes
        for when in ("before", "after")
    ]


class Killed:
    """A running instance whose worker is killed at one write of a rebuild, and the next one."""

    def __init__(self, lxd: Lxd, bus: BusSide, instances: Instances, prepare: Prepare) -> None:
        self.lxd, self.bus, self.prepare = lxd, bus, prepare
        self.uuid = str(uuid4())
        self.name = instances.launch("web", config={"volatile.uuid": self.uuid})
        mark_root(lxd, self.name)
        self.before = sharing(lxd, self.uuid)[self.name]

    def outcome(self, when: str, write: int, alias: str = "busybox") -> Operation:
        """Kill it, look what is left, and return how the next one has settled it."""
        order = an_order(Kind.REBUILD, self.name, self.uuid, alias)
        doomed = self.prepare(self.lxd.socket)
        doomed.command = [sys.executable, str(SCRIPT), when, str(write)]
        doomed.start()
        self.bus.reach()
        self.bus.send("submit", to_wire(order))
        doomed.wait(60.0)
        assert sum(is_old(self.lxd, each) for each in sharing(self.lxd, self.uuid)) == 1
        self.prepare(self.lxd.socket).start()
        self.bus.reach()
        return self.bus.ended(order.operation_id, 120.0)

    def settled(self) -> dict[str, dict[str, Any]]:
        """Return all that is left; what has the name runs with the devices and the MAC it had."""
        there = sharing(self.lxd, self.uuid)
        web = there[self.name]
        assert web["status"] == "Running"
        assert web["expanded_devices"] == self.before["expanded_devices"]
        assert settings_of(web) == settings_of(self.before)
        return there


@pytest.fixture
def killed(lxd: Lxd, bus: BusSide, instances: Instances, prepare: Prepare) -> Iterator[Killed]:
    prepared = Killed(lxd, bus, instances, prepare)
    with cleared(lxd, prepared.uuid), watched(lxd, prepared.uuid) as looks:
        yield prepared
        assert max(looks) <= 1


QUICK = (("after", 3), ("after", 9), ("before", 11), ("after", 13), ("after", 14))


@pytest.mark.parametrize(("when", "write"), kills(FORWARD, *QUICK))
def test_after_kill_9_at_any_step_one_of_both_is_whole_and_the_worker_settles_it(
    killed: Killed, when: str, write: int
) -> None:
    outcome = killed.outcome(when, write)

    there = killed.settled()
    if outcome.state is State.DONE:
        assert not is_old(killed.lxd, killed.name)
        (trash,) = there.keys() - {killed.name}
        assert (is_old(killed.lxd, trash), there[trash]["status"]) == (True, "Stopped")
    else:
        assert outcome.failure is not None
        assert outcome.failure.code == "step_interrupted"
        assert is_old(killed.lxd, killed.name)
        assert there.keys() == {killed.name}


@pytest.mark.parametrize(("when", "write"), kills(BACK, ("after", 21), ("before", 24)))
def test_after_kill_9_on_the_way_back_the_old_one_comes_back_all_the_same(
    killed: Killed, broken_image: str, when: str, write: int
) -> None:
    outcome = killed.outcome(when, write, broken_image)

    assert outcome.state is State.FAILED
    assert killed.settled().keys() == {killed.name}
    assert is_old(killed.lxd, killed.name)


@contextmanager
def watched(lxd: Lxd, uuid: str) -> Iterator[list[int]]:
    """Count again and again how many of those with a uuid run."""
    looks: list[int] = [0]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            with suppress(*lxd_api.ERRORS):
                there = sharing(lxd, uuid).values()
                looks.append(sum(one["status"] != "Stopped" for one in there))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield looks
    finally:
        over.set()
        watching.join()
