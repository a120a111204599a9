from __future__ import annotations

import pytest

from services.gateway.http.v1.updates import differing_limits
from services.gateway.responses.vm_limits import vm_limits
from services.gateway.vms.limits import Number, to_limits
from shared.contracts.instance_config import Limits

LIMITED = Limits(ingress=1_500_000, egress=20_000_000, read=3_000_000, write=1, processes=50)


def test_limits_are_shown_in_millions_a_second() -> None:
    shown = vm_limits(LIMITED)

    assert (shown.network.ingress_mbit, shown.network.egress_mbit) == (1.5, 20)
    assert (shown.disk.read_mbyte, shown.disk.write_mbyte) == (3, 0)
    assert shown.processes == 50


def test_what_is_not_limited_is_null() -> None:
    shown = vm_limits(Limits(egress=1_000_000))

    assert (shown.network.ingress_mbit, shown.network.egress_mbit) == (None, 1)
    assert (shown.disk.read_mbyte, shown.processes) == (None, None)


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({}, Limits()),
        ({"ingress": 1.5, "read": 2}, Limits(ingress=1_500_000, read=2_000_000)),
        ({"ingress": None, "processes": 0}, Limits(ingress=0, processes=0)),
        ({"write": 0.001}, Limits(write=1000)),
    ],
)
def test_what_is_given_is_wanted_in_bits_and_bytes(
    given: dict[str, Number], limits: Limits
) -> None:
    assert to_limits(given) == limits


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({"ingress": 1.5, "egress": 20, "read": 3.0, "write": 0, "processes": 50}, Limits()),
        ({"ingress": 2, "egress": 20}, Limits(ingress=2_000_000)),
        ({"egress": None, "processes": None}, Limits(egress=0, processes=0)),
    ],
)
def test_what_is_shown_already_is_no_difference(given: dict[str, Number], limits: Limits) -> None:
    assert differing_limits(given, vm_limits(LIMITED)) == limits


def test_null_where_there_is_no_limit_is_no_difference() -> None:
    given: dict[str, Number] = dict.fromkeys(Limits.__struct_fields__)

    assert differing_limits(given, vm_limits(Limits())) == Limits()
