"""A host that claims the uuid of another host's instance: who keeps it, and who gets it when."""

from __future__ import annotations

import time

import pytest

from services.gateway.fleet.capacity import Amount
from services.gateway.fleet.instance_index import InstanceIndex
from services.gateway.fleet.instance_record import InstanceRecord
from services.gateway.fleet.uuid_index import MOST_RESERVED, RETURN_S
from services.gateway.fleet.view import FleetView
from services.gateway.operations.command import Caller
from services.gateway.vms.new_vm import NewVm
from shared.contracts.errors import AmbiguousName, InsufficientResources
from shared.contracts.hosts import Capacity, Image
from shared.contracts.instance_config import ImageSource, NewInstance
from shared.contracts.operations import Arguments, Kind, Operation, State
from tests.support.builders import (
    a_change,
    a_description,
    a_heartbeat,
    a_removal,
    an_instance,
    an_inventory,
    an_operation,
)
from tests.support.core import Core

# The uuid of the `web` that host h1 has from the start; host `evil` is listed before it.
WEB = "uuid-web"
EVIL = "a-evil"


def join(gateway: Core, host: str = EVIL) -> None:
    """Let a host report that has nothing."""
    gateway.fleet.apply(host, a_heartbeat(fingerprint=f"f-{host}"))
    gateway.fleet.apply(host, an_inventory())


def claim(gateway: Core, uuid: str = WEB, name: str = "copy", sequence: int = 2) -> None:
    """Let the evil host report an instance of a uuid."""
    instance = an_instance(name, uuid=uuid, revision=sequence)
    gateway.fleet.apply(EVIL, a_change(instance, sequence=sequence))


def holders(gateway: Core | FleetView, uuid: str = WEB) -> list[tuple[str, bool]]:
    """Return the hosts that have the uuid, and whether theirs is a copy."""
    fleet = gateway.creations.vms if isinstance(gateway, Core) else gateway
    return [(known.host, known.duplicate) for known in fleet.with_uuid(uuid)]


async def restored(gateway: Core) -> FleetView:
    """Return the view of another process, which knows what the database keeps, in any order."""
    fleet = FleetView(gateway.time.clock, ready_after_s=0)
    rows = await gateway.host_store.load()
    fleet.restore(sorted(rows, key=lambda row: row.host))
    return fleet


def counted(gateway: Core) -> dict[str, int]:
    return {known.host: known.duplicates for known in gateway.fleet.hosts() if known.duplicates}


@pytest.mark.attack
def test_who_held_a_uuid_first_keeps_it_and_the_copy_is_flagged(gateway: Core) -> None:
    join(gateway)
    before = gateway.fleet.version

    claim(gateway)

    assert holders(gateway) == [("h1", False), (EVIL, True)]
    assert counted(gateway) == {EVIL: 1}
    assert gateway.fleet.version > before


def test_changes_of_either_move_nothing(gateway: Core) -> None:
    join(gateway)
    claim(gateway)

    claim(gateway, sequence=3)
    changed = an_instance(revision=5, status="Stopped")
    gateway.fleet.apply("h1", a_change(changed, sequence=2))

    assert holders(gateway) == [("h1", False), (EVIL, True)]


def test_the_copy_gets_the_uuid_when_the_original_is_deleted(gateway: Core) -> None:
    join(gateway)
    claim(gateway)

    gateway.fleet.apply("h1", a_removal())

    assert holders(gateway) == [(EVIL, False)]
    assert counted(gateway) == {}


def test_the_copy_gets_the_uuid_when_the_originals_host_is_forgotten(gateway: Core) -> None:
    join(gateway)
    claim(gateway)
    gateway.time.advance(16)

    gateway.fleet.forget("h1")

    assert holders(gateway) == [(EVIL, False)]


def test_a_copy_that_goes_takes_nothing_along(gateway: Core) -> None:
    join(gateway)
    claim(gateway)

    gateway.fleet.apply(EVIL, an_inventory(sequence=3))

    assert holders(gateway) == [("h1", False)]
    assert counted(gateway) == {}


def test_an_original_that_is_renamed_keeps_its_uuid(gateway: Core) -> None:
    join(gateway)
    claim(gateway)

    gateway.fleet.apply("h1", a_removal())
    gateway.time.advance(RETURN_S - 1)
    renamed = an_instance("new", uuid=WEB, revision=3)
    gateway.fleet.apply("h1", a_change(renamed, sequence=3))

    assert holders(gateway) == [("h1", False), (EVIL, True)]


def test_an_original_that_was_away_for_long_is_a_copy_itself(gateway: Core) -> None:
    join(gateway)
    claim(gateway)

    gateway.fleet.apply("h1", a_removal())
    gateway.time.advance(RETURN_S + 1)
    gateway.fleet.apply("h1", a_change(an_instance("new", uuid=WEB, revision=3), sequence=3))

    assert holders(gateway) == [(EVIL, False), ("h1", True)]


def test_of_two_on_one_host_the_other_follows(gateway: Core) -> None:
    join(gateway)
    claim(gateway)
    twin = an_instance("twin", uuid=WEB, revision=2)
    gateway.fleet.apply("h1", a_change(twin, sequence=2))

    gateway.fleet.apply("h1", a_removal(sequence=3, revision=3))

    assert holders(gateway) == [("h1", False), (EVIL, True)]
    assert gateway.fleet.with_uuid(WEB)[0].instance.name == "twin"


@pytest.mark.attack
async def test_a_restart_makes_no_copy_the_original(gateway: Core) -> None:
    join(gateway)
    claim(gateway)
    for host in (EVIL, "h1"):
        gateway.persistence.mark_unsaved(host)
    await gateway.persistence.save()

    restarted = await restored(gateway)

    assert gateway.host_store.hosts[EVIL].duplicate_uuids == (WEB,)
    assert holders(restarted) == [("h1", False), (EVIL, True)]


async def test_a_copy_whose_original_did_not_outlive_a_restart_gets_the_uuid(gateway: Core) -> None:
    join(gateway)
    claim(gateway)
    gateway.persistence.mark_unsaved(EVIL)
    await gateway.persistence.save()

    restarted = await restored(gateway)
    during = holders(restarted)
    restarted.tick()

    assert during == [(EVIL, True)]
    assert holders(restarted) == [(EVIL, False)]


def test_a_copy_with_the_originals_name_does_not_stand_in_its_way(gateway: Core) -> None:
    join(gateway)

    claim(gateway, name="web")

    assert gateway.fleet.instance("web").host == "h1"
    assert gateway.fleet.instance("web", EVIL).host == EVIL


def test_a_namesake_with_a_uuid_of_its_own_must_be_told_apart(gateway: Core) -> None:
    join(gateway)

    claim(gateway, uuid="another", name="web")

    with pytest.raises(AmbiguousName):
        gateway.fleet.instance("web")
    assert gateway.fleet.instance("web", "h1").instance.uuid == WEB


VM = NewVm(name="Shop", template="busybox", amount=Amount(1, 100, 1000))
BUSYBOX = Image(fingerprint="ab12", aliases=("busybox",))


@pytest.fixture
def creating(gateway: Core) -> Core:
    """The evil host claims to have the most room, so that it is asked first, and refuses."""
    join(gateway)
    for host, memory in ((EVIL, 10**9), ("h1", 1000)):
        room = Capacity(cpu=100, memory=memory, disk=100_000)
        told = a_description(capacity=room, images=[BUSYBOX], projects=["default"])
        gateway.fleet.apply(host, told)
    gateway.workers.refusals[EVIL] = InsufficientResources(EVIL, "memory", "100", "7")
    gateway.operations.watch(gateway.pending.record)
    return gateway


async def create(gateway: Core) -> Operation:
    return await gateway.creations.create(VM, Caller("admin", "127.0.0.1"), None)


def done(operation: Operation, **more: object) -> Operation:
    after = an_instance(operation.instance, uuid=operation.uuid, revision=9)
    filled: dict[str, object] = {"state": State.DONE, "after": after, "after_epoch": 1, **more}
    return an_operation(
        operation.operation_id,
        kind=Kind.CREATE,
        host=operation.host,
        instance=operation.instance,
        uuid=operation.uuid,
        arguments=operation.arguments,
        sequence=99,
        **filled,  # type: ignore[arg-type]
    )


@pytest.mark.attack
async def test_who_refuses_a_creation_cannot_claim_its_uuid(creating: Core) -> None:
    operation = await create(creating)
    claim(creating, operation.uuid)
    during = holders(creating, operation.uuid)

    creating.cache.record(done(operation))

    assert operation.host == "h1"
    assert sorted(during) == [(EVIL, True), ("h1", False)]
    assert holders(creating, operation.uuid) == [("h1", False), (EVIL, True)]
    names = [known.instance.name for known in creating.creations.vms.instances()]
    assert names == ["copy", "shop", "web"]


@pytest.mark.attack
async def test_who_claims_a_uuid_while_it_refuses_does_not_keep_it(creating: Core) -> None:
    operation = await create(creating)
    claim(creating, operation.uuid)

    creating.cache.record(done(operation, after=None))
    arrived = an_instance("shop", uuid=operation.uuid, revision=9)
    creating.fleet.apply("h1", a_change(arrived, sequence=2))

    assert holders(creating, operation.uuid) == [("h1", False), (EVIL, True)]


async def replica(creating: Core, uuid: str) -> Core:
    """Return another gateway of the same database, which heard the evil host's claim first."""
    other = creating.restarted()
    join(other)
    claim(other, uuid)
    return other


@pytest.mark.attack
async def test_another_gateway_believes_the_database_and_not_who_spoke_first(
    creating: Core,
) -> None:
    operation = await create(creating)
    other = await replica(creating, operation.uuid)
    before = holders(other, operation.uuid)

    await other.reservations.refresh()
    during = holders(other, operation.uuid)
    other.cache.record(done(operation))

    assert before == [(EVIL, False)]
    assert during == [(EVIL, True)]
    assert holders(other, operation.uuid) == [("h1", False), (EVIL, True)]


async def test_another_gateway_learns_of_a_creation_that_has_ended(creating: Core) -> None:
    operation = await create(creating)
    await creating.store.merge([done(operation)])
    other = await replica(creating, operation.uuid)
    arrived = an_instance("shop", uuid=operation.uuid, revision=9)
    other.fleet.apply("h1", a_change(arrived, sequence=2))

    await other.reservations.refresh()

    assert holders(other, operation.uuid) == [("h1", False), (EVIL, True)]


async def test_a_creation_is_taken_once(creating: Core) -> None:
    operation = await create(creating)
    creating.cache.record(done(operation))
    await creating.store.merge([done(operation)])
    claim(creating, operation.uuid)
    await creating.reservations.refresh()
    creating.fleet.apply("h1", a_removal("shop", revision=10))

    await creating.reservations.refresh()

    assert holders(creating, operation.uuid) == [(EVIL, False)]


@pytest.mark.attack
async def test_a_record_that_a_host_invents_reserves_nothing(creating: Core) -> None:
    await creating.store.merge([invented(WEB)])

    await creating.reservations.refresh()

    assert holders(creating) == [("h1", False)]


async def test_a_creation_that_fails_reserves_nothing(creating: Core) -> None:
    operation = await create(creating)
    claim(creating, operation.uuid)

    creating.cache.record(done(operation, state=State.FAILED, after=None))

    assert holders(creating, operation.uuid) == [(EVIL, False)]


async def test_what_was_created_and_deleted_reserves_nothing(creating: Core) -> None:
    operation = await create(creating)
    creating.cache.record(done(operation))
    claim(creating, operation.uuid)

    creating.fleet.apply("h1", a_removal("shop", revision=10))

    assert holders(creating, operation.uuid) == [(EVIL, False)]


def invented(uuid: str, state: State = State.RUNNING) -> Operation:
    """Return a creation that the evil host only says it carries out."""
    ordered = NewInstance(image=ImageSource(alias="busybox"), cpu=1, memory=1, disk=1)
    return an_operation(
        uuid,
        host=EVIL,
        kind=Kind.CREATE,
        instance="trap",
        uuid=uuid,
        state=state,
        arguments=Arguments(create=ordered),
    )


@pytest.mark.attack
async def test_a_creation_that_a_host_invents_hides_no_instance(creating: Core) -> None:
    creating.cache.record(invented(WEB))

    assert holders(creating) == [("h1", False), (EVIL, True)]
    names = [known.instance.name for known in creating.creations.vms.instances()]
    assert names == ["trap", "web"]


@pytest.mark.attack
@pytest.mark.parametrize("state", [State.RUNNING, State.DONE, State.FAILED])
async def test_a_creation_that_a_host_invents_displaces_no_other(
    creating: Core, state: State
) -> None:
    operation = await create(creating)

    creating.cache.record(invented(operation.uuid, state))

    found = holders(creating, operation.uuid)
    assert [host for host, duplicate in found if not duplicate] == ["h1"]


@pytest.mark.attack
async def test_a_journal_cannot_tell_what_only_gateways_do(creating: Core) -> None:
    creating.workers.journal[WEB] = invented(WEB, State.SUBMITTING)

    await creating.sync.sync_host(EVIL)

    assert WEB not in creating.store.operations
    assert holders(creating) == [("h1", False)]


@pytest.mark.attack
async def test_a_claim_costs_no_host_its_room(creating: Core) -> None:
    """What h1 is about to get counts as promised, whoever claims to have it already."""
    operation = await create(creating)
    claim(creating, operation.uuid)

    [candidate] = [
        each for each in creating.creations._candidates(creating.fleet.hosts()) if each.host == "h1"
    ]

    assert candidate.commitment.memory == 100


@pytest.mark.attack
def test_reservations_have_a_number() -> None:
    index = InstanceIndex()

    for number in range(MOST_RESERVED + 10):
        index.uuids.reserve(str(number), "h1")

    assert len(index.uuids._reserved) == MOST_RESERVED


@pytest.mark.attack
def test_hosts_that_share_thousands_of_claims_are_dropped_in_linear_time() -> None:
    index = InstanceIndex()
    entries = [
        InstanceRecord(f"h{n % 2}", an_instance(f"i{n}", uuid="same"), (1, 1))
        for n in range(10_000)
    ]
    began = time.process_time()

    for entry in entries:
        index.add(entry)
    for entry in entries[:-1]:
        index.remove(entry)

    assert time.process_time() - began < 5
    assert not entries[-1].view().duplicate
