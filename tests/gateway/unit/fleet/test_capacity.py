from __future__ import annotations

import pytest

from services.gateway.fleet.capacity import Amount, commitment_of
from shared.contracts.instances import Trash
from tests.support.builders import GIB, MIB, a_documented_instance


@pytest.mark.parametrize(
    ("limit", "cpus"),
    [("2", 2), ("0-3", 4), ("1,3", 2), ("0-1,4", 3), ("", 0), ("3-1", 0), ("a-b", 0)],
)
def test_the_cpus_of_a_limit_are_counted(limit: str, cpus: int) -> None:
    assert commitment_of(a_documented_instance(cpu_limit=limit)).cpu == cpus


def test_an_instance_is_promised_its_limits() -> None:
    limited = a_documented_instance(cpu_limit="2", memory_limit=512 * MIB, root_size=10 * GIB)

    assert commitment_of(limited) == Amount(2, 512 * MIB, 10 * GIB)


def test_an_instance_without_limits_is_promised_nothing() -> None:
    unlimited = a_documented_instance(cpu_limit="", memory_limit=None, root_size=None)

    assert commitment_of(unlimited) == Amount(0, 0, 0)


def test_a_root_that_is_kept_for_a_revert_is_promised_too() -> None:
    trash = Trash(name="trash-1-web", until="2026-11-29T10:00:00Z", size=2 * GIB)

    assert commitment_of(a_documented_instance(root_size=10 * GIB, trash=trash)).disk == 12 * GIB
