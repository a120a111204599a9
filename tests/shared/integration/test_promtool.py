"""Prometheus' own judge on everything that a gateway can say."""

from __future__ import annotations

from tests.support.gateway_http import FakeGateway
from tests.support.prometheus import ABOUT_LXDS_NAMES, complaints
from tests.support.views import a_measured_view


async def test_promtool_objects_to_nothing_but_names_that_are_lxds() -> None:
    gateway = FakeGateway()
    gateway.fleet.change(instances=[a_measured_view()])

    async with gateway.client() as client:
        everything = (await client.get("/metrics")).text
        own = (await client.get("/metrics/gateway")).text
        of_host = (await client.get("/metrics/hosts/h1")).text

    assert complaints(everything) == ABOUT_LXDS_NAMES
    assert complaints(own) == set()
    assert complaints(of_host) == ABOUT_LXDS_NAMES
