"""What snapshots are listed with, and how long it is kept."""

import pytest

from services.gateway.fleet.memory_budget import MemoryBudget
from services.gateway.fleet.view import FleetView
from services.gateway.vms.snapshots import SnapshotService
from shared.contracts.errors import DatabaseUnavailable, HostUnreachable, WorkerOutdated
from shared.contracts.operations import Arguments, Kind, Operation, State
from shared.contracts.worker_api import Snapshot, WorkerClient
from tests.support.builders import (
    a_heartbeat,
    a_protection,
    a_protection_report,
    an_instance,
    an_inventory,
    an_operation,
)
from tests.support.clock import FakeClock
from tests.support.core import Core
from tests.support.stores import MemoryOperationStore
from tests.support.workers import FakeWorkers

TAKEN_AT, LATER = "2026-11-20T10:00:00Z", "2026-11-20T10:00:05Z"


@pytest.fixture
def core() -> Core:
    core = Core()
    core.workers.snapshots = [Snapshot(name="s1", created_at=TAKEN_AT)]
    return core


def of_snapshot(kind: Kind = Kind.SNAPSHOT, description: str = "", **more: object) -> Operation:
    arguments = Arguments(snapshot="s1", description=description)
    filled: dict[str, object] = {"state": State.DONE, "finished_at": LATER, **more}
    return an_operation(kind=kind, arguments=arguments, **filled)


async def listed(core: Core) -> list[tuple[str, str]]:
    found = await core.snapshots.list(core.fleet.instance("web").target)
    return [(each.snapshot.name, each.description) for each in found]


async def test_a_description_is_listed_when_the_snapshot_is_done(core: Core) -> None:
    await core.store.merge([of_snapshot(description="before", state=State.RUNNING)])
    before = await listed(core)

    await core.events.on_outcome(of_snapshot(description="before", sequence=2))

    assert before == [("s1", "")]
    assert await listed(core) == [("s1", "before")]


async def test_a_gateway_that_starts_anew_lists_it_too(core: Core) -> None:
    await core.events.on_outcome(of_snapshot(description="before"))

    assert await listed(core.restarted()) == [("s1", "before")]


async def test_a_namesake_that_somebody_made_since_has_no_description(core: Core) -> None:
    await core.events.on_outcome(of_snapshot(description="before"))
    core.workers.snapshots = [Snapshot(name="s1", created_at="2026-11-20T10:00:06Z")]

    assert await listed(core) == [("s1", "")]


async def test_an_instance_that_is_recreated_has_no_descriptions_of_the_old_one(
    core: Core,
) -> None:
    await core.events.on_outcome(of_snapshot(description="before", uuid="another"))

    assert await listed(core) == [("s1", "")]


async def test_a_host_that_is_away_is_not_asked(core: Core) -> None:
    target = core.fleet.instance("web").target
    core.time.advance(60)

    with pytest.raises(HostUnreachable):
        await core.snapshots.list(target)
    assert core.workers.called == []


async def test_without_the_database_no_list_is_shown_as_if_nothing_were_known(core: Core) -> None:
    core.store.notes.away = True

    with pytest.raises(DatabaseUnavailable):
        await listed(core)


async def test_a_worker_that_was_rolled_back_is_not_taken_for_one_that_knows_policies() -> None:
    fleet = FleetView(FakeClock().clock, ready_after_s=0, budget=MemoryBudget())
    workers = FakeWorkers()
    service = SnapshotService(fleet, WorkerClient(workers), MemoryOperationStore().notes)
    fleet.apply("h1", a_heartbeat(epoch=1))
    fleet.apply("h1", an_inventory(an_instance("web")))
    fleet.apply("h1", a_protection_report(a_protection(an_instance("web"))))
    await service.require_policies("h1")

    # The release before begins anew: it reports no protection, and knows no such call.
    fleet.apply("h1", a_heartbeat(epoch=2))
    workers.failing = {"policy_runs_since": WorkerOutdated("h1")}

    with pytest.raises(WorkerOutdated):
        await service.require_policies("h1")
