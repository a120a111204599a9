"""A sample that is made by replacing bytes is the sample of that host."""

from __future__ import annotations

import pytest

from benchmarks.fleet import host_reports as reports
from shared.contracts.codec import decode
from shared.contracts.events import Sampled

AT = "2026-11-29T12:00:00Z"
TEMPLATES = reports.SampleTemplates(instances=100)


@pytest.mark.parametrize("host", [0, 7, 999, 4999])
def test_a_sample_has_the_instances_of_its_host(host: int) -> None:
    sample = decode(Sampled, TEMPLATES.sample(host, 1, AT))

    running = [number for number in range(100) if reports.is_running(number)]
    expected = [
        (reports.instance(host, number).name, reports.instance(host, number).uuid)
        for number in running
    ]
    assert [(each.name, each.uuid) for each in sample.instances] == expected


def test_no_two_hosts_share_an_address() -> None:
    addresses = [
        address.address
        for host in range(0, 5000, 7)
        for instance in decode(Sampled, TEMPLATES.sample(host, 1, AT)).instances[:2]
        for address in instance.addresses
        if address.scope == "global"
    ]

    assert len(set(addresses)) == len(addresses)


def test_each_sample_of_a_host_is_newer_and_different() -> None:
    first, second = (decode(Sampled, TEMPLATES.sample(3, number, AT)) for number in (1, 2))

    assert (first.at, second.sequence) == (AT, first.sequence + 1)
    assert first.instances != second.instances


def test_a_sample_has_the_size_of_a_real_one() -> None:
    size = len(TEMPLATES.sample(42, 1, AT))

    assert 50_000 < size < 65_000
