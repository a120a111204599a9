"""Limits of traffic, disks and processes: read from LXD's settings, written to them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from services.lxd_worker.instances.description import EditableInstance
from services.lxd_worker.instances.devices import Devices
from services.lxd_worker.instances.limits import limits_of, with_limits
from services.lxd_worker.instances.observation import InstanceConfig
from services.lxd_worker.instances.update_request import DesiredConfig, update_body
from services.lxd_worker.transitions.next_step import decide
from services.lxd_worker.transitions.steps import Failed, Situation, Step
from shared.contracts.errors import FleetError, InvalidInput
from shared.contracts.instance_config import NO_LIMITS, Changes, Limits
from shared.contracts.instance_etag import etag
from shared.contracts.operations import Arguments, Kind, Operation, State
from tests.support.builders import a_creation, an_instance
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.observations import observation

NIC = {"type": "nic", "name": "eth0", "network": "lxdbr0"}
NIC_TOO = {"type": "nic", "name": "eth1", "nictype": "bridged", "parent": "br0"}
ROOT = {"type": "disk", "path": "/", "pool": "fast"}
DATA = {"type": "disk", "path": "/data", "source": "/srv"}
DEVICES: Devices = {"eth0": NIC, "root": ROOT, "data": DATA}
ALL = Limits(ingress=20_000_000, egress=10_000_000, read=3_000_000, write=2_000_000, processes=50)
NONE = Limits(ingress=0, egress=0, read=0, write=0, processes=0)


@pytest.mark.parametrize(
    ("config", "devices", "limits"),
    [
        ({}, DEVICES, Limits()),
        ({"limits.processes": "50"}, DEVICES, Limits(processes=50)),
        ({"limits.processes": "many"}, DEVICES, Limits()),
        ({}, {"eth0": NIC | {"limits.ingress": "20Mbit"}}, Limits(ingress=20_000_000)),
        ({}, {"eth0": NIC | {"limits.egress": "64Kibit"}}, Limits(egress=65_536)),
        ({}, {"eth0": NIC | {"limits.ingress": "0"}}, Limits()),
        (
            {},
            {"eth0": NIC | {"limits.max": "1Gbit", "limits.ingress": "1Mbit"}},
            Limits(ingress=10**9, egress=10**9),
        ),
        (
            {},
            {"a": NIC | {"limits.ingress": "5Mbit"}, "b": NIC | {"limits.ingress": "7Mbit"}},
            Limits(ingress=7_000_000),
        ),
        ({}, {"a": NIC | {"limits.ingress": "5Mbit"}, "b": NIC}, Limits()),
        ({}, {"root": ROOT | {"limits.read": "3MB"}}, Limits(read=3_000_000)),
        ({}, {"root": ROOT | {"limits.write": "100iops"}}, Limits()),
        ({}, {"root": ROOT | {"limits.max": "1MiB"}}, Limits(read=1 << 20, write=1 << 20)),
        ({}, {"data": DATA | {"limits.read": "3MB"}}, Limits()),
    ],
)
def test_limits_are_read_as_lxd_reads_them(
    config: dict[str, str], devices: Devices, limits: Limits
) -> None:
    assert limits_of(config, devices) == limits


@pytest.mark.parametrize(
    ("own", "profile", "wanted", "devices"),
    [
        ({}, {"eth0": NIC, "root": ROOT}, Limits(), {}),
        ({}, {"eth0": NIC, "root": ROOT}, NONE, {}),
        (
            {},
            {"eth0": NIC, "root": ROOT},
            Limits(ingress=5000),
            {"eth0": NIC | {"limits.ingress": "5000"}},
        ),
        (
            {"eth0": NIC},
            {"root": ROOT},
            Limits(read=7, write=8),
            {"eth0": NIC, "root": ROOT | {"limits.read": "7", "limits.write": "8"}},
        ),
        (
            {"eth0": NIC | {"limits.ingress": "1Mbit", "limits.egress": "2Mbit"}},
            {},
            Limits(ingress=0),
            {"eth0": NIC | {"limits.egress": "2Mbit"}},
        ),
        ({}, {"eth0": NIC | {"limits.egress": "2Mbit"}}, Limits(egress=0), {"eth0": NIC}),
        (
            {"eth0": NIC | {"limits.max": "9Mbit"}},
            {},
            Limits(egress=0),
            {"eth0": NIC | {"limits.ingress": "9Mbit"}},
        ),
        (
            {},
            {"eth0": NIC, "eth1": NIC_TOO},
            Limits(egress=6000),
            {
                "eth0": NIC | {"limits.egress": "6000"},
                "eth1": NIC_TOO | {"limits.egress": "6000"},
            },
        ),
        ({"data": DATA}, {}, Limits(read=7), {"data": DATA}),
    ],
)
def test_a_device_of_a_profile_becomes_the_instances_own_before_it_is_limited(
    own: Devices, profile: Devices, wanted: Limits, devices: Devices
) -> None:
    assert with_limits(own, profile | own, wanted) == devices


def found(config: dict[str, str], **devices: dict[str, str]) -> EditableInstance:
    fields: dict[str, Any] = {"name": "web", "architecture": "x86_64", "ephemeral": False}
    profile = {"eth0": NIC, "root": ROOT}
    described = {"config": config, "devices": devices, "expanded_devices": profile | devices}
    return msgspec.convert(fields | described, EditableInstance)


def test_a_size_and_a_limit_of_one_disk_are_written_together() -> None:
    body = update_body(found({}), DesiredConfig(changes=Changes(disk=10, limits=Limits(read=7))))

    assert body["devices"] == {"root": ROOT | {"size": "10", "limits.read": "7"}}


def test_what_was_limited_can_be_freed() -> None:
    before = found({"limits.processes": "50"}, eth0=NIC | {"limits.ingress": "5000"})

    body = update_body(before, DesiredConfig(changes=Changes(limits=NONE)))

    assert (body["config"], body["devices"]) == ({}, {"eth0": NIC})


def test_what_was_read_of_an_instance_is_what_was_written() -> None:
    body = msgspec.convert(
        update_body(found({}), DesiredConfig(changes=Changes(limits=ALL))), dict[str, Any]
    )

    assert limits_of(body["config"], body["devices"]) == ALL


def test_the_tag_of_an_instance_without_limits_is_that_of_an_earlier_release() -> None:
    instance = an_instance()

    assert etag(instance) != etag(replace(instance, limits=ALL))
    assert etag(instance) == etag(replace(instance, limits=Limits()))


def updated(bench: Bench, limits: Limits, present: Limits = NO_LIMITS) -> Operation:
    bench.lxd.holds["web"] = replace(bench.lxd.holds["web"], config=InstanceConfig(limits=present))
    return bench.run(Kind.UPDATE, "web", Arguments(changes=Changes(limits=limits)))


def test_limits_of_a_running_instance_are_changed_and_others_left(bench: Bench) -> None:
    operation = updated(bench, Limits(egress=0, read=7000), ALL)

    assert (operation.state, operation.changed) == (State.DONE, True)
    assert bench.lxd.holds["web"].config.limits == replace(ALL, egress=None, read=7000)


@pytest.mark.parametrize("limits", [ALL, Limits(), Limits(processes=50)])
def test_limits_that_are_so_already_are_not_written(bench: Bench, limits: Limits) -> None:
    operation = updated(bench, limits, ALL)

    assert (operation.state, operation.changed, bench.lxd.asked) == (State.DONE, False, [])


@pytest.mark.parametrize("known_before", [True, False])
def test_a_limit_that_stays_because_a_profile_sets_it_is_not_said_to_be_gone(
    known_before: bool,
) -> None:
    still_limited = replace(observation(), config=InstanceConfig(limits=ALL))
    arguments = Arguments(changes=Changes(limits=Limits(processes=0)))
    before = still_limited if known_before else None

    move = decide(
        Kind.UPDATE,
        Situation("web", arguments, still_limited, taken=(Step.UPDATE,), before=before),
    )

    assert isinstance(move, Failed)
    assert move.error.values == ("processes", "set by a profile of the instance")


@pytest.mark.parametrize("limits", [Limits(ingress=999), Limits(egress=1)])
def test_what_the_kernel_could_not_keep_is_refused(bench: Bench, limits: Limits) -> None:
    with pytest.raises(InvalidInput, match="at least 1000 bits"):
        updated(bench, limits)


def test_a_virtual_machine_has_no_limit_of_processes(bench: Bench) -> None:
    bench.lxd.limits["web"] = {"type": "virtual-machine"}

    with pytest.raises(InvalidInput, match="for containers only"):
        updated(bench, Limits(processes=50))


def made(bench: Bench, **new: Any) -> dict[str, Any]:
    bench.carry_out(a_creation(**new))
    return dict(bench.lxd.requests[-1])


def test_a_new_instance_has_its_limits_from_the_beginning(bench: Bench) -> None:
    request = made(bench, limits=ALL)

    assert limits_of(request["config"], request["devices"]) == ALL
    assert request["devices"]["eth0"]["network"] == "lxdbr0"


def test_the_network_that_was_asked_for_is_limited(bench: Bench) -> None:
    request = made(bench, network="br0", limits=Limits(ingress=5000))

    assert request["devices"]["eth0"] == {
        "type": "nic",
        "name": "eth0",
        "nictype": "bridged",
        "parent": "br0",
        "limits.ingress": "5000",
    }


def test_without_limits_the_profiles_nic_stays_the_profiles(bench: Bench) -> None:
    request = made(bench)

    assert list(request["devices"]) == ["root"]
    assert "limits.processes" not in request["config"]


def test_the_limit_that_a_profile_gives_to_a_nic_already_needs_no_nic_of_its_own(
    bench: Bench,
) -> None:
    bench.resources.profile["eth0"] = NIC | {"limits.ingress": "5000"}

    assert list(made(bench, limits=Limits(ingress=5000))["devices"]) == ["root"]


def test_where_there_is_no_network_none_can_be_limited(bench: Bench) -> None:
    del bench.resources.profile["eth0"]

    with pytest.raises(FleetError, match="network"):
        made(bench, limits=Limits(ingress=5000))


def test_of_what_was_asked_the_first_step_is_an_update(bench: Bench) -> None:
    updated(bench, Limits(processes=5))

    assert bench.lxd.asked == [Step.UPDATE]
