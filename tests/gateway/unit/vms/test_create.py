"""Where new instances go, under which name, and what is shown of them until they are there."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest
from msgspec import structs

from services.gateway.fleet.capacity import Amount
from services.gateway.operations.command import Caller, command_for
from services.gateway.vms.new_vm import CREATING, NewVm
from services.gateway.vms.placement import NoHostFits
from shared.contracts.errors import (
    FleetError,
    HostUnreachable,
    ImageNotFound,
    InstanceExists,
    InsufficientResources,
    LxdUnavailable,
)
from shared.contracts.events import OperationChanged
from shared.contracts.instance_config import ImageSource, NewInstance
from shared.contracts.operations import Arguments, Failure, Kind, Operation, Secrets, State
from tests.support.builders import (
    a_change,
    a_heartbeat,
    an_instance,
    an_operation,
)
from tests.support.core import Core

VM = NewVm(name="Web Server", template="busybox", amount=Amount(1, 100, 1000))
ADMIN = Caller("admin", "127.0.0.1")


@pytest.fixture
def gateway(gateway: Core) -> Core:
    """Two hosts with room for ten instances each; `h1` has a little less."""
    gateway.add_host("h1")
    gateway.add_host("h2", memory=1001)
    gateway.operations.watch(gateway.pending.record)
    return gateway


async def create(gateway: Core, vm: NewVm = VM, **changes: object) -> Operation:
    return await gateway.creations.create(
        replace(vm, **changes),  # type: ignore[arg-type]
        ADMIN,
        None,
    )


def shown(gateway: Core) -> dict[str, str]:
    known = gateway.creations.vms.instances()
    return {
        each.instance.display_name or each.instance.name: each.instance.status for each in known
    }


async def test_a_creation_goes_to_the_roomiest_host_and_says_why(gateway: Core) -> None:
    operation = await create(gateway)

    [submission] = gateway.workers.submissions
    assert (submission.host, submission.kind) == ("h2", Kind.CREATE)
    assert submission.instance == "web-server"
    assert operation.arguments.placement.startswith("most_free_memory: ")
    assert "on h2, of 2 able" in operation.arguments.placement


async def test_the_worker_is_told_all_that_was_asked_for(gateway: Core) -> None:
    await create(
        gateway,
        auto_start=True,
        labels={"team": "shop"},
        ssh_keys=("ssh-ed25519 AAAA me",),
        cloud_init="#cloud-config",
        root_password="secret-1",
    )

    [submission] = gateway.workers.submissions
    order = submission.arguments.create
    assert order is not None
    assert (order.image, order.cpu, order.memory, order.disk) == (
        ImageSource(alias="busybox"),
        1,
        100,
        1000,
    )
    assert (order.display_name, order.auto_start) == ("Web Server", True)
    assert (order.labels, order.ssh_keys) == ({"team": "shop"}, ("ssh-ed25519 AAAA me",))
    assert gateway.workers.secrets == {
        submission.operation_id: (
            "h2",
            Secrets(cloud_init="#cloud-config", root_password="secret-1"),
        )
    }


async def test_a_secret_is_in_no_database(gateway: Core) -> None:
    operation = await create(gateway, cloud_init="hidden-1", root_password="hidden-2")

    stored = gateway.store.operations[operation.operation_id]
    assert "hidden" not in msgspec.json.encode(stored).decode()


@pytest.mark.attack
def test_a_secret_is_in_nothing_that_a_log_could_print() -> None:
    vm = replace(VM, cloud_init="hidden-1", root_password="hidden-2")

    assert "hidden" not in repr((vm, vm.secrets()))


async def test_the_operation_is_found_by_the_uuid_of_the_instance(gateway: Core) -> None:
    operation = await create(gateway)

    assert operation.operation_id == operation.uuid
    assert await gateway.operations.get(operation.uuid) == operation


async def test_a_host_that_is_asked_for_is_taken(gateway: Core) -> None:
    operation = await create(gateway, host="h1")

    assert operation.host == "h1"
    assert operation.arguments.placement.startswith("asked_for: ")


async def test_requests_at_once_count_each_other(gateway: Core) -> None:
    gateway.workers.hold = asyncio.Event()
    names = [f"vm {number}" for number in range(20)]
    creating = [asyncio.create_task(create(gateway, name=name)) for name in names]
    await asyncio.sleep(0)

    with pytest.raises(NoHostFits):
        await create(gateway, name="one too many")

    gateway.workers.hold.set()
    hosts = [operation.host for operation in await asyncio.gather(*creating)]
    assert (hosts.count("h1"), hosts.count("h2")) == (10, 10)


async def test_what_is_in_the_inventory_already_is_not_counted_twice(gateway: Core) -> None:
    operation = await create(gateway, host="h1", amount=Amount(1, 600, 0))
    early = an_instance("web-server", uuid=operation.uuid, memory_limit=600, status="Stopped")
    gateway.fleet.apply("h1", a_change(early))

    await create(gateway, host="h1", name="other", amount=Amount(1, 400, 0))

    assert len(gateway.workers.submissions) == 2


async def test_a_refused_creation_takes_no_room(gateway: Core) -> None:
    gateway.workers.refusal = InsufficientResources("h1", "memory", "900", "0")
    with pytest.raises(InsufficientResources):
        await create(gateway, host="h1", amount=Amount(1, 900, 0))
    gateway.workers.refusal = None

    await create(gateway, host="h1", amount=Amount(1, 900, 0))

    assert len(gateway.workers.submissions) == 1


async def test_a_name_is_taken_once_in_the_fleet(gateway: Core) -> None:
    await create(gateway, host="h1")

    with pytest.raises(InstanceExists):
        await create(gateway)
    with pytest.raises(InstanceExists):
        await create(gateway, host="h1")
    with pytest.raises(InstanceExists):
        await create(gateway, name="web")


async def test_a_name_may_stand_on_two_hosts_when_the_host_is_asked_for(gateway: Core) -> None:
    await create(gateway, host="h1")

    second = await create(gateway, host="h2")

    assert (second.host, second.instance) == ("h2", "web-server")


async def test_another_name_with_the_same_slug_gets_a_number(gateway: Core) -> None:
    await create(gateway, host="h1")

    second = await create(gateway, host="h1", name="web server")

    assert second.instance == "web-server-2"


@pytest.mark.parametrize(
    ("host", "error"), [("h1", HostUnreachable("h1")), ("", LxdUnavailable(""))]
)
async def test_nothing_is_chosen_when_nobody_is_reachable(
    gateway: Core, host: str, error: FleetError
) -> None:
    gateway.time.advance(1000)

    with pytest.raises(type(error)) as refused:
        await create(gateway, host=host)

    assert refused.value.values == error.values
    assert gateway.workers.submissions == []


@pytest.mark.parametrize("host", ["h1", ""])
async def test_hosts_that_have_not_said_what_they_have_are_not_ready_yet(host: str) -> None:
    gateway = Core()
    early = replace(VM, host=host, template="nix", network="br0")

    assert gateway.creations.missing_references(early) == {}
    with pytest.raises((HostUnreachable, LxdUnavailable)):
        await create(gateway, host=host)


async def test_a_template_that_is_gone_is_refused(gateway: Core) -> None:
    with pytest.raises(ImageNotFound):
        await create(gateway, template="nix")


def test_what_a_request_names_and_there_is_not_is_told_with_what_there_is(gateway: Core) -> None:
    wrong = replace(VM, template="nix", host="h9", network="br0", project="shop")

    assert gateway.creations.missing_references(VM) == {}
    assert gateway.creations.missing_references(wrong) == {
        "host": ["h1", "h2"],
        "network": [],
        "project": ["default"],
        "template": ["busybox"],
    }


async def test_what_is_being_created_is_shown_as_such(gateway: Core) -> None:
    before = gateway.creations.vms.version
    operation = await create(gateway)

    [found] = gateway.creations.vms.with_uuid(operation.uuid)
    instance = found.instance
    assert found.creation == operation
    assert (instance.name, instance.status) == ("web-server", CREATING)
    assert (instance.cpu_limit, instance.memory_limit, instance.root_size) == ("1", 100, 1000)
    assert found.host == "h2"
    assert shown(gateway) == {"web": "Running", "Web Server": CREATING}
    assert gateway.creations.vms.instance("web-server") == found
    assert [each.instance.name for each in gateway.creations.vms.instances("h1")] == ["web"]
    assert gateway.creations.vms.version > before


async def test_what_lxd_lists_too_early_is_still_being_created(gateway: Core) -> None:
    operation = await create(gateway, host="h1")

    early = an_instance("web-server", uuid=operation.uuid, status="Stopped")
    gateway.fleet.apply("h1", a_change(early))

    assert shown(gateway) == {"web": "Running", "Web Server": CREATING}


async def test_a_completed_creation_is_shown_as_lxd_has_it(gateway: Core) -> None:
    operation = await create(gateway, host="h1")
    made = an_instance("web-server", uuid=operation.uuid, display_name="Web Server", revision=5)

    done = gateway.workers.finish(operation.operation_id, after=made, after_epoch=1)
    gateway.cache.record(done)

    assert shown(gateway) == {"web": "Running", "Web Server": "Running"}


async def test_a_failed_creation_is_gone_and_its_operation_says_why(gateway: Core) -> None:
    operation = await create(gateway)
    why = Failure(code="lxd_refused", values=["no"])

    gateway.cache.record(
        gateway.workers.report(structs.replace(operation, state=State.FAILED, failure=why))
    )

    assert shown(gateway) == {"web": "Running"}
    kept = await gateway.operations.get(operation.uuid)
    assert kept.failure == why


async def test_what_is_being_created_is_known_after_a_restart(gateway: Core) -> None:
    operation = await create(gateway)

    restarted = gateway.restarted()
    restarted.fleet.apply("h2", a_heartbeat())
    await restarted.pending.load(restarted.operations)

    [found] = restarted.creations.vms.with_uuid(operation.uuid)
    assert found.creation == operation
    assert shown(restarted) == {"web": "Running", "Web Server": CREATING}


async def test_a_forgotten_host_creates_nothing(gateway: Core) -> None:
    await create(gateway)
    gateway.time.advance(1000)

    await gateway.persistence.forget("h2")

    assert shown(gateway) == {"web": "Running"}


async def test_an_action_on_what_is_being_created_names_its_uuid(gateway: Core) -> None:
    operation = await create(gateway)
    [found] = gateway.creations.vms.with_uuid(operation.uuid)
    command = command_for(found, Kind.START, Arguments(), ADMIN)

    await gateway.operations.submit(command, ADMIN)

    assert gateway.workers.submissions[-1].uuid == operation.uuid


def invented(host: str, number: int = 0, uuid: str = "") -> Operation:
    """Return a creation that a host tells of and that nobody ordered."""
    ordered = NewInstance(image=ImageSource(), cpu=1, memory=1, disk=1)
    return an_operation(
        f"{host}-{number}",
        host=host,
        kind=Kind.CREATE,
        instance=f"vm-{number}",
        uuid=uuid or f"uuid-{number}",
        arguments=Arguments(create=ordered),
    )


def listed(gateway: Core) -> set[tuple[str, str]]:
    return {(each.host, each.instance.uuid) for each in gateway.creations.vms.instances()}


@pytest.mark.attack
async def test_a_creation_that_a_host_makes_up_hides_no_vm_of_another(gateway: Core) -> None:
    copied = invented("h2", uuid="uuid-web")

    gateway.events.on_event("h2", OperationChanged(operation=copied))

    assert ("h1", "uuid-web") in listed(gateway)


@pytest.mark.attack
async def test_a_creation_that_a_host_makes_up_ends_none_of_another(gateway: Core) -> None:
    created = await create(gateway)
    copied = structs.replace(invented("h1", uuid=created.uuid), state=State.FAILED)

    gateway.events.on_event("h1", OperationChanged(operation=copied))

    assert ("h2", created.uuid) in listed(gateway)


@pytest.mark.attack
async def test_creations_that_a_host_makes_up_have_an_end(gateway: Core) -> None:
    created = await create(gateway)

    for number in range(1200):
        told = invented("h1", number)
        gateway.events.on_event("h1", OperationChanged(operation=told))

    assert len(gateway.pending.all()) == 1001
    assert ("h2", created.uuid) in listed(gateway)
