"""Names with percent signs and the like in LXD's addresses: each means itself, on a real LXD."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from deploy.local import busybox_image
from services.lxd_worker.lxd.host_resources import LxdHostResources
from services.metrics.sampler.lxd_source import LxdSource
from shared.contracts.instance_config import ImageSource
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound
from shared.lxd.scope import LxdScope
from tests.lxd_double import LxdDouble
from tests.support.lxd import Lxd

PREFIX = f"o{secrets.token_hex(3)}"
NAMES = ["%31", "1", "%2531", "a+b", "a&b", "a?b", "50%", "é"]


def offer(socket: Path) -> LxdHostResources:
    return LxdHostResources(LxdClient(socket, "h1"), lambda: False)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return f"{PREFIX}{request.param}"


@pytest.fixture
def project(lxd: Lxd, name: str) -> Iterator[str]:
    lxd.call("POST", "/1.0/projects", {"name": name, "config": {}})
    yield name
    lxd.call("DELETE", f"/1.0/projects/{quote(name, safe='')}")


@pytest.fixture
def alias(lxd: Lxd, name: str) -> Iterator[str]:
    image = lxd.call("GET", f"/1.0/images/aliases/{busybox_image.ALIAS}")["target"]
    lxd.call("POST", "/1.0/images/aliases", {"name": name, "target": image})
    yield name
    lxd.call("DELETE", f"/1.0/images/aliases/{quote(name, safe='')}")


@pytest.fixture
def pool(lxd: Lxd, name: str) -> Iterator[str]:
    lxd.call("POST", "/1.0/storage-pools", {"name": name, "driver": "dir"})
    yield name
    lxd.call("DELETE", f"/1.0/storage-pools/{quote(name, safe='')}")


def test_a_project_is_known_by_its_name(lxd: Lxd, project: str) -> None:
    offered = offer(lxd.socket)

    assert project in offered.projects()
    assert offered.default_devices(project) == {}


def test_an_image_is_found_by_its_alias_and_by_no_other(lxd: Lxd, alias: str) -> None:
    offered = offer(lxd.socket)

    assert offered.image("default", ImageSource(alias=alias))
    for other in {f"{PREFIX}{each}" for each in NAMES} - {alias}:
        assert offered.image("default", ImageSource(alias=other)) is None


def test_the_space_of_a_pool_is_its_own(lxd: Lxd, pool: str) -> None:
    sampled = LxdSource(LxdClient(lxd.socket, "h1"), LxdScope())

    assert pool in sampled.pools().spaces
    assert offer(lxd.socket).pool_size(pool) > 0


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_is_a_path_is_no_name(tmp_path: Path, name: str) -> None:
    with LxdDouble(tmp_path / "lxd.socket") as double:
        api = LxdClient(double.socket, "h1")
        for path in (("images", "aliases", name), ("networks", name)):
            with pytest.raises(LxdNotFound):
                api.get(dict, *path)

        assert [one for one in double.requests if not one.endswith("/1.0")] == []
