"""Orders for new instances: what is refused before LXD hears of it, and what is given out."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.creation.capacity import Overcommit
from services.lxd_worker.creation.port_pool import NatPool
from services.lxd_worker.instances.observation import InstanceConfig
from shared.contracts.errors import (
    FleetError,
    ImageNotFound,
    InstanceExists,
    InsufficientResources,
    InvalidInput,
    LxdUnavailable,
)
from shared.contracts.hosts import Image, Network
from shared.contracts.instance_config import ImageSource
from shared.contracts.instances import Proxy
from shared.contracts.operations import Arguments, State, Submission
from tests.support.builders import a_creation
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.resources import GIB

BUSYBOX = ImageSource(alias="busybox")
POOL = NatPool("h1", "203.0.113.7", ssh=((2201, 2203),), ports=((3000, 3009),))


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def order(number: int = 1, **changes: Any) -> Submission:
    """Return an order for `new-NUMBER`; `new` are fields of the instance, else of the order."""
    creation = a_creation(f"new-{number}", **changes.pop("new", {}))
    wanted = {"operation_id": f"op-{number}", "uuid": uuid_of(number)}
    return replace(creation, **(wanted | changes))


def planned(bench: Bench, number: int = 1, **changes: Any) -> dict[str, dict[str, str]]:
    bench.operations.submit(order(number, **changes))
    entry = bench.journal.find(f"op-{number}")
    assert entry is not None
    assert entry.plan is not None
    return entry.plan.devices


def listens(devices: dict[str, dict[str, str]]) -> list[str]:
    return [device["listen"] for device in devices.values() if device["type"] == "proxy"]


def test_an_order_is_journalled_with_what_it_is_given_and_not_begun(bench: Bench) -> None:
    bench.operations.submit(order())

    entry = bench.journal.find("op-1")
    assert entry is not None
    assert entry.plan is not None
    assert entry.operation.state is State.ACCEPTED
    assert entry.plan.source == {"type": "image", "fingerprint": "f" * 64}
    assert entry.plan.devices == {
        "root": {"type": "disk", "path": "/", "pool": "default", "size": str(GIB)}
    }
    assert bench.lxd.asked == []


def test_a_managed_network_is_joined_by_its_name_and_a_bridge_as_a_parent(bench: Bench) -> None:
    managed = planned(bench, 1, new={"network": "lxdbr0"})
    bridge = planned(bench, 2, new={"network": "br0"})

    assert managed["eth0"] == {"type": "nic", "name": "eth0", "network": "lxdbr0"}
    assert bridge["eth0"] == {
        "type": "nic",
        "name": "eth0",
        "nictype": "bridged",
        "parent": "br0",
    }


def test_a_profile_without_a_root_disk_gets_one_of_the_hosts_pool(bench: Bench) -> None:
    bench.resources.profile = {}

    devices = planned(bench, new={"network": "br0"})

    assert devices["root"] == {"type": "disk", "path": "/", "pool": "only", "size": str(GIB)}
    assert devices["eth0"]["parent"] == "br0"


def test_the_profiles_names_of_disk_and_nic_are_kept(bench: Bench) -> None:
    bench.resources.profile = {
        "disk0": {"type": "disk", "path": "/", "pool": "fast"},
        "data": {"type": "disk", "path": "/data", "source": "/srv"},
        "lan": {"type": "nic", "name": "eth0", "network": "lxdbr0"},
    }

    devices = planned(bench, new={"network": "br0"})

    assert set(devices) == {"disk0", "lan"}
    assert devices["disk0"]["pool"] == "fast"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"instance": "web"}, InstanceExists),
        ({"instance": "new-"}, InvalidInput),
        ({"uuid": ""}, InvalidInput),
        ({"uuid": "u-new"}, InvalidInput),
        ({"arguments": Arguments()}, InvalidInput),
        ({"new": {"cpu": 0}}, InvalidInput),
        ({"new": {"memory": 0}}, InvalidInput),
        ({"new": {"disk": 0}}, InvalidInput),
        ({"new": {"type": "pod"}}, InvalidInput),
        ({"new": {"type": "virtual-machine"}}, InvalidInput),
        ({"new": {"labels": {"": "x"}}}, InvalidInput),
        ({"new": {"image": ImageSource()}}, InvalidInput),
        ({"new": {"image": ImageSource(alias="a", fingerprint="b")}}, InvalidInput),
        ({"new": {"image": ImageSource(alias="nothing")}}, ImageNotFound),
        ({"new": {"image": ImageSource(alias="x", remote="images")}}, ImageNotFound),
        ({"new": {"network": "nothing"}}, InvalidInput),
        ({"new": {"ssh": True}}, InvalidInput),
        ({"new": {"ssh_keys": ("",)}}, InvalidInput),
        ({"secrets": {"root_password": "no"}}, InvalidInput),
        ({"new": {"cpu": 17}}, InsufficientResources),
        ({"new": {"memory": 9 * GIB}}, InsufficientResources),
        ({"new": {"disk": 101 * GIB}}, InsufficientResources),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_trace(
    bench: Bench, changes: dict[str, Any], error: type[FleetError]
) -> None:
    with pytest.raises(error):
        bench.operations.submit(order(**changes))

    assert bench.journal.length == 0
    assert bench.secrets == {}
    assert bench.spawned == []


def test_a_wrong_network_is_refused_with_those_that_there_are(bench: Bench) -> None:
    with pytest.raises(InvalidInput) as refusal:
        bench.operations.submit(order(new={"network": "nothing"}))

    assert (refusal.value.field, refusal.value.rule) == ("network", "one of: lxdbr0, br0")


def test_of_many_networks_a_few_are_named(bench: Bench) -> None:
    bench.resources.own_networks = [
        Network(name=f"bridge{number}", type="bridge", managed=False) for number in range(1000)
    ]

    with pytest.raises(InvalidInput) as refusal:
        bench.operations.submit(order(new={"network": "nothing"}))

    assert refusal.value.rule == "one of: bridge0, bridge1, bridge2, bridge3, bridge4, … (+995)"


def test_an_image_for_virtual_machines_makes_virtual_machines(bench: Bench) -> None:
    bench.resources.own_images = [
        Image(fingerprint="a" * 64, aliases=("vm",), type="virtual-machine")
    ]

    bench.operations.submit(
        order(new={"type": "virtual-machine", "image": ImageSource(alias="vm")})
    )

    assert bench.operation("op-1").state is State.ACCEPTED


def test_a_virtual_machine_gets_no_ports(bench: Bench) -> None:
    bench.pool = POOL

    with pytest.raises(InvalidInput) as refusal:
        bench.operations.submit(order(new={"type": "virtual-machine", "ssh": True}))

    assert refusal.value.field == "ports"


def test_an_image_of_a_server_that_the_operator_allows_is_fetched_from_there(bench: Bench) -> None:
    bench.remotes = {"images": "https://images.example.org"}

    bench.operations.submit(order(new={"image": ImageSource(alias="debian/12", remote="images")}))

    entry = bench.journal.find("op-1")
    assert entry is not None
    assert entry.plan is not None
    assert entry.plan.source == {
        "type": "image",
        "mode": "pull",
        "protocol": "simplestreams",
        "server": "https://images.example.org",
        "alias": "debian/12",
    }


def test_what_is_under_way_is_promised_already(bench: Bench) -> None:
    bench.operations.submit(order(1, new={"memory": 5 * GIB}))

    with pytest.raises(InsufficientResources) as refusal:
        bench.operations.submit(order(2, new={"memory": 4 * GIB}))

    assert refusal.value.values == ("h1", "memory", str(4 * GIB), str(3 * GIB))


def test_a_creation_that_lxd_lists_already_counts_once(bench: Bench) -> None:
    bench.operations.submit(order(1, new={"memory": 4 * GIB}))
    bench.lxd.on_wait = lambda: bench.operations.submit(order(2, new={"memory": 4 * GIB}))

    bench.work()

    assert bench.operation("op-2").state is State.DONE


def test_the_limits_of_instances_that_are_there_are_promised(bench: Bench) -> None:
    big = InstanceConfig(cpu_limit="2", memory_limit=8 * GIB)
    bench.lxd.holds["web"] = replace(bench.lxd.holds["web"], config=big)

    with pytest.raises(InsufficientResources):
        bench.operations.submit(order())

    bench.overcommit = Overcommit(memory=2.0)
    assert bench.operations.submit(order()).state is State.ACCEPTED


def test_a_name_is_taken_from_the_acceptance_on(bench: Bench) -> None:
    bench.operations.submit(order(1))

    with pytest.raises(InstanceExists):
        bench.operations.submit(order(2, instance="new-1"))


def test_the_same_order_again_is_answered_from_the_journal(bench: Bench) -> None:
    first = bench.operations.submit(order())

    assert bench.operations.submit(order()) == first
    assert len(bench.spawned) == 1


def test_while_lxd_does_not_tell_nothing_is_taken_on(bench: Bench) -> None:
    bench.resources.away = True

    with pytest.raises(LxdUnavailable):
        bench.operations.submit(order())

    assert bench.journal.length == 0


def test_no_port_is_given_out_twice(bench: Bench) -> None:
    bench.pool, bench.most_unfinished = POOL, 10
    held = Proxy(device="ssh", listen="tcp:0.0.0.0:2201", connect="tcp:127.0.0.1:22")
    bench.lxd.holds["db"] = replace(bench.lxd.holds["db"], config=InstanceConfig(proxies=(held,)))
    bench.in_use = frozenset({("tcp", 3001)})

    first = planned(bench, 1, new={"ssh": True, "ports": 2})
    bench.work()
    second = planned(bench, 2, new={"ssh": True, "ports": 3})

    assert listens(first) == ["tcp:203.0.113.7:2202", "tcp:203.0.113.7:3002-3003"]
    assert listens(second) == ["tcp:203.0.113.7:2203", "tcp:203.0.113.7:3004-3006"]
    with pytest.raises(InsufficientResources) as refusal:
        bench.operations.submit(order(3, new={"ssh": True}))
    assert refusal.value.resource == "ports"


def test_ports_are_free_again_when_their_instance_is_gone(bench: Bench) -> None:
    bench.pool = replace_pool(ssh=((2201, 2201),))
    planned(bench, 1, new={"ssh": True})
    bench.work()
    del bench.lxd.holds["new-1"]

    assert listens(planned(bench, 2, new={"ssh": True})) == ["tcp:203.0.113.7:2201"]


def replace_pool(ssh: tuple[tuple[int, int], ...]) -> NatPool:
    return NatPool("h1", "203.0.113.7", ssh=ssh)
