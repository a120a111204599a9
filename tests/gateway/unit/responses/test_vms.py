from __future__ import annotations

from dataclasses import replace

import pytest

from services.gateway.responses.vm_sizes import cpus
from services.gateway.responses.vms import status_of, updated_at, vm
from shared.contracts.instances import Instance
from tests.support.builders import GIB, MIB, a_documented_instance, an_instance_sample
from tests.support.views import a_host_view, a_view, view_of

CONTAINER, MACHINE = "container", "virtual-machine"
UNMEASURED = a_host_view(sample=None)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("2", 2), ("0-3", 4), ("1,3", 2), ("0-1,1-2", 3), ("0-0", 1), ("", 4), ("x", None)],
)
def test_cpus_are_a_count_a_set_or_those_of_the_host(limit: str, expected: int | None) -> None:
    assert cpus(a_documented_instance(cpu_limit=limit), a_host_view()) == expected


def without_limits(**more: object) -> Instance:
    return a_documented_instance(memory_limit=None, root_size=None, **more)


def test_a_container_without_limits_has_what_its_host_has() -> None:
    shown = vm(replace(view_of(without_limits()), encoded_sample=None), a_host_view(), secrets=True)

    assert (shown.cpu, shown.memory, shown.disk) == (4, 16384, 500)
    assert shown.unknown == []


def test_a_virtual_machine_without_limits_has_lxds_own() -> None:
    shown = vm(
        view_of(without_limits(type=MACHINE), an_instance_sample()), a_host_view(), secrets=True
    )

    assert (shown.cpu, shown.memory, shown.disk) == (1, 1024, 10)


def test_what_nobody_knows_is_zero_and_named() -> None:
    unknown = replace(view_of(without_limits()), encoded_sample=None)

    shown = vm(unknown, UNMEASURED, secrets=True)

    assert (shown.cpu, shown.memory, shown.disk) == (0, 0, 0)
    assert shown.unknown == ["cpu", "memory", "disk"]


@pytest.mark.parametrize(
    ("size", "expected"), [(20 * GIB, 20), (512 * MIB, 0.5), (10 * GIB + 1, 10), (1, 0)]
)
def test_disk_is_whole_where_it_can_be(size: int, expected: float) -> None:
    shown = vm(a_view(root_size=size), a_host_view(), secrets=True)

    assert shown.disk == expected
    assert type(shown.disk) is type(expected)


@pytest.mark.parametrize(
    ("lxds", "word"),
    [
        ("Running", "running"),
        ("Ready", "running"),
        ("Stopping", "running"),
        ("Stopped", "stopped"),
        ("Starting", "stopped"),
        ("Frozen", "paused"),
        ("Error", "error"),
        ("Of the future", "error"),
    ],
)
def test_the_status_is_the_documents_word(lxds: str, word: str) -> None:
    assert status_of(lxds) == word


@pytest.mark.parametrize(
    ("changed_at", "expected"),
    [
        (None, "2026-01-20T10:00:00Z"),
        (1795168830.5, "2026-11-20T10:00:30Z"),
        (0.0, "2026-01-20T10:00:00Z"),
    ],
)
def test_it_was_updated_when_a_change_was_seen_at_the_least_created(
    changed_at: float | None, expected: str
) -> None:
    assert updated_at(replace(a_view(), changed_at=changed_at)) == expected


def test_a_vm_is_known_by_the_name_that_people_gave_it() -> None:
    shown = vm(a_view("web", display_name="网站"), a_host_view(), secrets=True)

    assert (shown.name, shown.instance) == ("网站", "web")


def test_a_stopped_one_has_no_address() -> None:
    shown = vm(a_view(status="Stopped"), a_host_view(), secrets=True)

    assert (shown.ip, shown.ipv6) == ("", "")
