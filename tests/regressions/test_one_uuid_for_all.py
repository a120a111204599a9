"""A host that gave ten thousand instances one uuid stopped the gateway for nine seconds."""

from __future__ import annotations

import time

import pytest

from services.gateway.fleet.instance_index import InstanceIndex
from services.gateway.fleet.instance_record import InstanceRecord
from tests.support.builders import an_instance

pytestmark = pytest.mark.attack


def test_instances_that_share_a_uuid_are_taken_in_and_dropped_in_linear_time() -> None:
    index = InstanceIndex()
    entries = [
        InstanceRecord("h1", an_instance(f"i{n}", uuid="same"), (1, 1)) for n in range(10_000)
    ]
    began = time.process_time()

    for entry in entries:
        index.add(entry)
    for entry in entries[2:]:
        index.remove(entry)

    assert time.process_time() - began < 5
    assert [entry.view().duplicate for entry in entries[:2]] == [False, True]
    index.remove(entries[0])
    assert not entries[1].view().duplicate


def test_instances_of_one_name_in_many_projects_are_dropped_in_linear_time() -> None:
    index = InstanceIndex()
    entries = [
        InstanceRecord("h1", an_instance(project=f"p{n}", uuid=str(n)), (1, 1))
        for n in range(10_000)
    ]
    began = time.process_time()

    for entry in entries:
        index.add(entry)
    for entry in reversed(entries):
        index.remove(entry)

    assert time.process_time() - began < 5
    assert index.with_name("web") == []
