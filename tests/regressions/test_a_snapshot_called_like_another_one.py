"""Somebody deleted the snapshot `x%31`; `x1` was gone, `x%31` stayed, and the answer was `done`.

LXD 5.0 unescapes what stands in the path of a snapshot twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local import lxd_api, lxd_daemon
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.lxd.daemon import LxdDaemon
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import LxdRefused, SnapshotNotFound
from shared.contracts.operations import Arguments, Kind
from shared.lxd.client import LxdClient
from shared.lxd.scope import LxdScope
from tests.lxd_double import LxdDouble
from tests.support.builders import a_submission
from tests.support.lxd_client import IMAGE
from tests.support.lxd_worker.wire import Omissions
from tests.support.vms import gateway_of_vms

NAME = f"odd-{secrets.token_hex(4)}"
PATH = f"/1.0/instances/{NAME}"


@pytest.fixture(params=["double", pytest.param("real", marks=pytest.mark.lxd)])
def socket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The socket of an LXD with one container that is stopped."""
    if request.param == "real":
        daemon: Path = request.getfixturevalue("lxd").socket
        lxd_api.call(daemon, "POST", "/1.0/instances", {"name": NAME, "source": IMAGE})
        yield daemon
        lxd_daemon.force_delete(daemon, NAME)
    else:
        with LxdDouble(tmp_path / "lxd.socket") as double:
            lxd_api.call(double.socket, "POST", "/1.0/instances", {"name": NAME, "source": IMAGE})
            yield double.socket


def delete(socket: Path, snapshot: str) -> Any:
    """Have the worker's adapter delete a snapshot; return what LXD says at the end."""
    omit = Omissions()
    daemon = LxdDaemon(LxdClient(socket, "h1"), 1 << 30, LxdScope(), omit)
    order = a_submission(Kind.DELETE_SNAPSHOT, NAME, Arguments(snapshot=snapshot), uuid="")
    return daemon.wait(daemon.request(Step.DELETE_SNAPSHOT, JournalEntry.accept(order, "")), 30)


def made(socket: Path, *names: str) -> set[str]:
    """Make snapshots as somebody with `lxc` might; return those that there are then."""
    for name in names:
        lxd_api.call(socket, "POST", f"{PATH}/snapshots", {"name": name})
    listed = lxd_api.call(socket, "GET", f"{PATH}/snapshots?recursion=1")
    return {each["name"] for each in listed}


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("x%31", {"x1", "x%2531"}),
        ("x%2531", {"x1", "x%31"}),
        ("x1", {"x%31", "x%2531"}),
        ("50%", {"50%25"}),
        ("50%25", {"50%"}),
        ("%", set()),
        ("a%2Fb", {"a%252Fb"}),
        ("é中", {"%C3%A9%E4%B8%AD"}),
        ("%C3%A9%E4%B8%AD", {"é中"}),
        ('a"b', {"a%22b"}),
        ("a#b;c=d", {"a"}),
    ],
)
def test_the_snapshot_that_is_meant_is_deleted_and_no_other(
    socket: Path, name: str, others: set[str]
) -> None:
    assert made(socket, name, *others) == {name, *others}

    ended = delete(socket, name)

    assert (ended.running, ended.error) == (False, None)
    assert made(socket) == others


@pytest.mark.parametrize("name", ["x%31", "50%", "a+b"])
def test_what_is_not_there_is_refused_and_its_namesakes_stay(socket: Path, name: str) -> None:
    others = made(socket, "x1", "x%2531", "50", "50%25")

    with pytest.raises((SnapshotNotFound, LxdRefused)):
        delete(socket, name)

    assert made(socket) == others


@pytest.mark.parametrize("name", ["x%31", "50%", "a?b", "a+b", "a&b"])
async def test_a_new_one_is_not_called_so(name: str) -> None:
    gateway = gateway_of_vms()
    async with gateway.client(headers={"Accept-Language": "en"}) as client:
        answer = await client.post("/api/v1/vms/vm-u1/snapshots", json={"name": name})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    rule = "without whitespace, control characters and / % ? + &"
    assert rule in answer.json()["error"]["message"]
    assert gateway.operations.submitted == []
