"""Fixtures on a real LXD: `lxd`, `instances` and `own_lxd`.

All sessions on a machine share its daemon, whoever set it up; a test touches only instances whose
names carry its own prefix. A test that stops a daemon takes `own_lxd`.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.local import busybox_image, lxd_api, lxd_daemon, processes
from shared.contracts.errors import LxdRefused
from shared.lxd.client import LxdClient
from tests.support.daemons import mark, missing

FIXTURES = {"lxd", "own_lxd"}
IN_USE = pytest.StashKey[Path]()
LOCK = Path(tempfile.gettempdir()) / f"lxdfleet-tests-{os.getuid()}.lock"


@dataclass(frozen=True, slots=True)
class Lxd:
    """A daemon with a storage pool, a bridge and the image `busybox`."""

    socket: Path

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the metadata of a request, or of the operation that it started.

        See `LxdClient.call` for what it raises.
        """
        return lxd_api.call(self.socket, method, path, body)

    def metrics(self) -> str:
        """Return what the daemon itself tells Prometheus; Incus's names are made LXD's."""
        text = LxdClient(self.socket).get_content("metrics").decode()
        return re.sub(r"\bincus_", "lxd_", text)

    def uuid_of(self, name: str) -> str:
        """Return the uuid that LXD has given an instance."""
        return str(self.call("GET", f"/1.0/instances/{name}")["config"]["volatile.uuid"])

    def create(self, full_name: str, **fields: Any) -> None:
        """Create a container of the image `busybox` under exactly this name; leave it stopped."""
        source = {"type": "image", "alias": busybox_image.ALIAS}
        self.call("POST", "/1.0/instances", {"name": full_name, "source": source} | fields)


@dataclass(frozen=True, slots=True)
class OwnLxd(Lxd):
    """A daemon that belongs to one test, which may stop and start it; instances go on running."""

    directory: Path

    def start(self) -> None:
        """Start the daemon, unless it runs."""
        lxd_daemon.start(self.directory, _flavour())

    def stop(self) -> None:
        """Stop the daemon in order."""
        lxd_daemon.stop(self.directory)

    def kill(self) -> None:
        """End the daemon at once."""
        lxd_daemon.kill(self.directory)


@dataclass(frozen=True, slots=True)
class Instances:
    """Instances of one test on a daemon: all have its prefix, all are deleted after it."""

    lxd: Lxd
    prefix: str

    def name(self, name: str) -> str:
        """Return the name with the prefix."""
        return f"{self.prefix}-{name}"

    def launch(self, name: str = "c", **fields: Any) -> str:
        """Create and start a container of the image `busybox`; return its full name.

        `fields` go into LXD's request: `config`, `devices`, `description`.
        """
        full_name = self.create(name, **fields)
        self.lxd.call("PUT", f"/1.0/instances/{full_name}/state", {"action": "start"})
        return full_name

    def create(self, name: str = "c", **fields: Any) -> str:
        """Create a container and leave it stopped; return its full name.

        One of this name that an earlier try of the same test has left is deleted first.
        """
        full_name = self.name(name)
        try:
            self.lxd.create(full_name, **fields)
        except LxdRefused:
            self.delete(full_name)
            self.lxd.create(full_name, **fields)
        return full_name

    def status(self, full_name: str) -> str:
        """Return LXD's word for the state, such as `Running`."""
        return str(self.lxd.call("GET", f"/1.0/instances/{full_name}")["status"])

    def set_state(self, full_name: str, action: str, **fields: Any) -> None:
        """Do what somebody with `lxc` might do behind our back: `stop`, `start`, `freeze`."""
        self.lxd.call(
            "PUT", f"/1.0/instances/{full_name}/state", {"action": action, "timeout": 30} | fields
        )

    def delete(self, full_name: str) -> None:
        """Delete it, running or not."""
        lxd_daemon.force_delete(self.lxd.socket, full_name)

    def delete_all(self) -> None:
        """Delete whatever has the prefix, however it came there."""
        for path in self.lxd.call("GET", "/1.0/instances"):
            name = path.rpartition("/")[2]
            if name.startswith(self.prefix):
                self.delete(name)


@pytest.fixture(scope="session")
def lxd(request: pytest.FixtureRequest) -> Lxd:
    """The machine's daemon; it is started when there is none, and left running."""
    with processes.file_lock(LOCK):
        socket = _named_socket() or lxd_daemon.find_socket() or lxd_daemon.start_system(_flavour())
        request.session.stash[IN_USE] = socket
        return _made_ready(socket, "fleetbr")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail one test, and not all that follow, when the machine's daemon has died."""
    socket = item.session.stash.get(IN_USE, None)
    if socket is None or "lxd" not in getattr(item, "fixturenames", ()):
        return
    if not lxd_api.answers(socket):
        with processes.file_lock(LOCK):
            lxd_daemon.start_system(_flavour())
        pytest.fail(f"LXD has died during an earlier test; see the log beside {socket.parent}")


@pytest.fixture
def instances(lxd: Lxd) -> Iterator[Instances]:
    """This test's instances on the machine's daemon."""
    with instances_on(lxd) as mine:
        yield mine


@contextmanager
def instances_on(lxd: Lxd) -> Iterator[Instances]:
    """Give a fresh prefix for instances, and delete those that have it afterwards."""
    mine = Instances(lxd, f"t{secrets.token_hex(3)}")
    try:
        yield mine
    finally:
        mine.delete_all()


@pytest.fixture
def own_lxd() -> Iterator[OwnLxd]:
    """A daemon for one test, with all that it made removed afterwards."""
    with daemon_of_its_own() as own:
        yield own


@contextmanager
def daemon_of_its_own() -> Iterator[OwnLxd]:
    """Start a daemon beside the machine's; afterwards remove it with all that it made."""
    flavour = _flavour()
    directory = Path(f"/var/lib/lxdfleet-{secrets.token_hex(3)}")
    socket = lxd_daemon.start(directory, flavour)
    try:
        yield OwnLxd(_made_ready(socket, f"f{secrets.token_hex(3)}-").socket, directory)
    finally:
        lxd_daemon.remove(directory, flavour)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses these fixtures, so that `-m` finds it."""
    mark(items, FIXTURES, "lxd")


def _named_socket() -> Path | None:
    named = os.environ.get("FLEET_LXD_SOCKET")
    return Path(named) if named else None


def _flavour() -> lxd_daemon.Flavour:
    """Return what a daemon can be started of; leave the test out where none can."""
    if os.geteuid() != 0:
        missing("only root can start LXD")
    return lxd_daemon.installed() or missing("LXD is not installed")


def _made_ready(socket: Path, bridge_prefix: str) -> Lxd:
    if not busybox_image.BUSYBOX.exists():
        missing("busybox-static is not installed")
    lxd_daemon.initialise(socket, bridge_prefix)
    busybox_image.ensure(socket)
    return Lxd(socket)
