"""The two daemons that every test here runs on: the double, and a real LXD where there is one."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.local import lxd_api
from tests.lxd_double import LxdDouble
from tests.support.lxd_client import Client


@pytest.fixture(params=["double", pytest.param("real", marks=pytest.mark.lxd)])
def socket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "real":
        daemon = request.getfixturevalue("lxd").socket
        if lxd_api.call(daemon, "GET", "/1.0")["environment"]["server"] != "lxd":
            pytest.skip("the double is one of LXD; Incus words many answers otherwise")
        yield daemon
    else:
        with LxdDouble(tmp_path / "lxd.socket") as double:
            # A start and a guest's stop need a moment, as they really do.
            double.faults.duration_s.update(start=0.2, stop=1.5)
            yield double.socket


@pytest.fixture
def name() -> str:
    return f"conf-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def client(socket: Path, name: str) -> AsyncIterator[Client]:
    async with Client.connected(socket) as client:
        yield client
        await client.remove(name)
        await client.remove(f"{name}-2")


@pytest.fixture
async def stopped(client: Client, name: str) -> str:
    """A container that is stopped."""
    await client.create(name)
    return name


@pytest.fixture
async def running(client: Client, stopped: str) -> str:
    """A container that runs, with a guest that is ready to be asked to stop."""
    await client.change(stopped, "start")
    await client.until_ready(stopped)
    return stopped
