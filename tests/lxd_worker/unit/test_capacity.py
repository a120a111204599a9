"""What a host may promise, as tables."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.lxd_worker.creation.capacity import (
    Overcommit,
    committed,
    cpus,
    require_capacity,
    total_capacity,
)
from services.lxd_worker.instances.observation import InstanceConfig
from services.lxd_worker.protocols import HostMachine
from shared.contracts.errors import InsufficientResources
from shared.contracts.hosts import Capacity
from tests.support.lxd_worker.observations import described, observation


@pytest.mark.parametrize(
    ("limit", "number"),
    [("", 0), ("2", 2), ("0-3", 4), ("0,2", 2), ("0-1,5", 3), ("1-1", 1), ("all", 0), ("1-", 1)],
)
def test_lxds_limit_is_so_many_cpus(limit: str, number: int) -> None:
    assert cpus(limit) == number


def test_what_is_offered_is_what_there_is_times_the_overcommit() -> None:
    found = total_capacity(
        HostMachine(cpu=2, memory=1000), 5000, Overcommit(cpu=4, memory=1.5, disk=0.5)
    )

    assert found == Capacity(cpu=8, memory=1500, disk=2500)


def test_instances_are_promised_their_limits_and_without_limits_nothing() -> None:
    shape = InstanceConfig(cpu_limit="0-1", memory_limit=5, root_size=7)
    limited = described("web", replace(observation(), config=shape))
    unlimited = described("db", observation())

    assert committed([limited, unlimited]) == Capacity(cpu=2, memory=5, disk=7)


@pytest.mark.parametrize(
    ("already", "wanted", "resource"),
    [
        (Capacity(cpu=3, memory=0, disk=0), Capacity(cpu=2, memory=1, disk=1), "cpu"),
        (Capacity(cpu=0, memory=90, disk=0), Capacity(cpu=1, memory=11, disk=1), "memory"),
        (Capacity(cpu=0, memory=0, disk=999), Capacity(cpu=1, memory=1, disk=2), "disk"),
        (Capacity(cpu=9, memory=0, disk=0), Capacity(cpu=1, memory=1, disk=1), "cpu"),
    ],
)
def test_beyond_what_is_offered_nothing_is_promised(
    already: Capacity, wanted: Capacity, resource: str
) -> None:
    with pytest.raises(InsufficientResources) as refusal:
        require_capacity("h1", Capacity(cpu=4, memory=100, disk=1000), already, wanted)

    assert refusal.value.resource == resource


@pytest.mark.parametrize(
    ("already", "wanted"),
    [
        pytest.param(
            Capacity(cpu=3, memory=99, disk=999), Capacity(cpu=1, memory=1, disk=1), id="the last"
        ),
        pytest.param(
            Capacity(cpu=9, memory=0, disk=0), Capacity(cpu=0, memory=1, disk=1), id="none of it"
        ),
    ],
)
def test_what_is_left_can_be_had_and_no_more(already: Capacity, wanted: Capacity) -> None:
    capacity = Capacity(cpu=4, memory=100, disk=1000)
    beyond = replace(wanted, cpu=wanted.cpu + 1)

    require_capacity("h1", capacity, already, wanted)

    with pytest.raises(InsufficientResources):
        require_capacity("h1", capacity, already, beyond)
