"""Reading an image server, and asking LXD what of it the host can use."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import processes
from services.lxd_worker.lxd.host_resources import LxdHostResources
from services.lxd_worker.protocols import DaemonCapabilities, ImageServerAway
from services.lxd_worker.reports.image_server_client import fetch
from services.lxd_worker.reports.simplestreams import INDEX, product_files
from shared.lxd.client import LxdClient
from tests.lxd_double import LxdDouble
from tests.support.image_server import IMAGE, PRODUCTS, ImageServer, image_server
from tests.support.lxd import Lxd


@pytest.fixture(scope="module")
def server() -> Iterator[ImageServer]:
    with image_server() as running:
        yield running


def test_a_file_below_the_address_is_read(server: ImageServer) -> None:
    assert product_files(fetch(f"{server.address}/", INDEX)) == [PRODUCTS]


def test_a_file_that_is_too_large_is_left(server: ImageServer) -> None:
    with pytest.raises(ImageServerAway, match="more than 100000 bytes"):
        fetch(server.address, IMAGE, largest=100_000)


@pytest.mark.parametrize("path", ["streams/v1/none.json", f"moved/{INDEX}", "../../etc/passwd"])
def test_what_is_not_there_or_leads_elsewhere_is_not_read(server: ImageServer, path: str) -> None:
    with pytest.raises(ImageServerAway):
        fetch(server.address, path)


def test_a_server_that_is_not_there_is_away() -> None:
    with pytest.raises(ImageServerAway):
        fetch(f"http://127.0.0.1:{processes.free_port()}", INDEX)


def offer(socket: Path) -> LxdHostResources:
    return LxdHostResources(LxdClient(socket, "h1"), listening=lambda: False)


def test_lxd_tells_what_it_can_run(lxd: Lxd, tmp_path: Path) -> None:
    own = offer(lxd.socket).capabilities()
    with LxdDouble(tmp_path / "lxd.socket") as double:
        doubles = offer(double.socket).capabilities()

    assert (own.architecture, own.types[0]) == (platform.machine(), "container")
    assert doubles == DaemonCapabilities("x86_64", ("container", "virtual-machine"))
