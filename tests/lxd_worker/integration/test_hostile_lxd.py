"""A whole worker on a host of which one instance, question or row is hostile: all else goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.events import Heartbeat, HostDescribed, Inventory
from shared.contracts.operations import FINAL, Kind, State
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.bus_side import BusSide, creation, submission
from tests.support.worker_process import Prepare, WorkerProcess

pytestmark = pytest.mark.attack

HOSTILE: dict[str, Any] = {
    "created_at": "9999-12-31T23:59:59-12:00",
    "status": 10**400,
    "description": "\ud800\x00" * 100_000,
    "profiles": [5, None],
    "expanded_devices": {"eth0": 7},
}


@pytest.fixture
def double(double: LxdDouble) -> LxdDouble:
    double.add_all(
        [
            DoubledInstance("hostile", config={"volatile.uuid": "u-hostile"}, instead=HOSTILE),
            DoubledInstance("no_name"),
            DoubledInstance("good", config={"volatile.uuid": "u-good", "limits.cpu": "2"}),
        ]
    )
    return double


@pytest.mark.usefixtures("worker_on_double")
def test_one_hostile_instance_leaves_reports_operations_and_admission_as_they_are(
    bus: BusSide,
) -> None:
    new = creation("new")
    start = submission(Kind.START, "good", "u-good")
    of_hostile = submission(Kind.START, "hostile", "u-hostile")

    for wanted in (new, start, of_hostile):
        bus.submit(wanted)
    ends = [bus.ended(wanted.operation_id).state for wanted in (new, start)]

    assert ends == [State.DONE] * 2
    assert bus.ended(of_hostile.operation_id).state in FINAL
    bus.call("publish_inventory")
    told = bus.until(lambda: [one for one in bus.of(Inventory) if len(one.instances) == 3])
    found = {one.name: one for one in told[-1].instances}
    assert set(found) == {"good", "hostile", "new"}
    assert (found["good"].cpu_limit, found["hostile"].created_at) == ("2", "")
    assert bus.of(Heartbeat)[-1].lxd_connected


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        ("images", 403),
        ("networks", 500),
        ("storage-pools/default/resources", 500),
        ("profiles/default", 404),
        ("resources", 503),
    ],
)
def test_one_refused_question_leaves_everything_else_as_it_is(
    bus: BusSide, double: LxdDouble, prepare: Prepare, refused: str, status: int
) -> None:
    double.faults.refused[f"/1.0/{refused}"] = status
    prepare(double.socket).start()
    bus.reach()

    host = bus.until(lambda: bus.of(HostDescribed))[-1]
    inventory = bus.until(lambda: bus.of(Inventory))[-1]
    start = submission(Kind.START, "good", "u-good")
    bus.submit(start)

    assert bus.ended(start.operation_id).state is State.DONE
    assert {one.name for one in inventory.instances} == {"good", "hostile"}
    assert (host.images == []) is (refused == "images")
    assert (host.networks == []) is (refused == "networks")
    assert (host.capacity is None) is (refused not in ("images", "networks"))


def test_a_worker_starts_with_a_journal_of_which_one_row_is_damaged(
    bus: BusSide,
    double: LxdDouble,
    prepare: Prepare,
    tmp_path: Path,
    worker_on_double: WorkerProcess,
) -> None:
    double.faults.duration_s["start"] = 3.0
    double.add(DoubledInstance("other", config={"volatile.uuid": "u-other"}))
    lost = submission(Kind.START, "good", "u-good")
    kept = submission(Kind.START, "other", "u-other")
    for wanted in (lost, kept):
        bus.submit(wanted)
    worker_on_double.kill()
    file = tmp_path / "state" / "journal.db"
    with closing(sqlite3.connect(file)) as journal, journal:
        damage = "UPDATE operations SET entry = x'ff00' WHERE operation_id = ?"
        journal.execute(damage, (lost.operation_id,))

    again = prepare(double.socket)
    again.start()
    bus.reach()

    (found,) = bus.until(lambda: bus.operations_since(0).operations)
    assert found.operation_id == kept.operation_id
    assert bus.ended(kept.operation_id).state is State.DONE
    anew = submission(Kind.START, "good", "u-good")
    bus.submit(anew)
    assert bus.ended(anew.operation_id).state is State.DONE
    assert [line["of"] for line in again.logged("left out") if line["what"] == "operation"] == [
        lost.operation_id
    ]
