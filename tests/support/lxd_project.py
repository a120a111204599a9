"""A second project of a real LXD: the fixture `lxd_project`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from shared.contracts.status import is_alive
from tests.support.lxd import Instances, Lxd


@dataclass(frozen=True)
class Project:
    """A project of one test, which shares images and profiles with the default one."""

    lxd: Lxd
    name: str

    def call(self, method: str, path: str, body: object = None) -> Any:
        """As `Lxd.call`, inside the project."""
        return self.lxd.call(method, f"{path}?project={self.name}", body)

    def create(self, name: str) -> str:
        """Create a container and return its uuid.

        It has no network: LXD takes a name on a network once only, whatever the project.
        """
        source = {"type": "image", "alias": "busybox"}
        root = {"type": "disk", "path": "/", "pool": "default"}
        wanted = {"name": name, "source": source, "profiles": [], "devices": {"root": root}}
        self.call("POST", "/1.0/instances", wanted)
        created = self.call("GET", f"/1.0/instances/{name}")
        return str(created["config"]["volatile.uuid"])

    def set_state(self, name: str, action: str) -> None:
        """Start or stop; a stop is by force."""
        body = {"action": action, "force": action == "stop"}
        self.call("PUT", f"/1.0/instances/{name}/state", body)

    def delete(self, name: str) -> None:
        """Delete it, running or not."""
        if is_alive(self.call("GET", f"/1.0/instances/{name}")["status"]):
            self.set_state(name, "stop")
        self.call("DELETE", f"/1.0/instances/{name}")


@pytest.fixture
def lxd_project(instances: Instances) -> Iterator[Project]:
    """A project with the prefix of this test; it is removed with all that is in it."""
    made = Project(instances.lxd, f"{instances.prefix}-project")
    shared = {"features.images": "false", "features.profiles": "false"}
    made.lxd.call("POST", "/1.0/projects", {"name": made.name, "config": shared})
    yield made
    for path in made.call("GET", "/1.0/instances"):
        made.delete(path.partition("?")[0].rpartition("/")[2])
    made.lxd.call("DELETE", f"/1.0/projects/{made.name}")
