"""A gateway over a simulated fleet, whose hosts have a hundred containers each."""

from __future__ import annotations

import asyncio
import time
from typing import cast

import msgspec
from fastapi import FastAPI

from services.gateway.clock import Clock
from services.gateway.fleet.encoded_samples import EncodedSample, encoded_sample
from services.gateway.fleet.view import FleetView
from shared.contracts.events import Heartbeat, Inventory
from shared.contracts.samples import InstanceSample
from tests.support.builders import a_documented_instance, a_sample_message
from tests.support.gateway import FakeFleet
from tests.support.gateway_http import FakeGateway
from tests.support.views import MEASURED

INSTANCES_PER_HOST = 100
INTERVAL_S = 5.0
AT = "2026-11-20T10:00:00Z"


class Simulator:
    """Hosts that report to a fleet view."""

    def __init__(self, hosts: int) -> None:
        self._hosts = [f"h{number:03}" for number in range(hosts)]
        self.fleet = FleetView(Clock(time.monotonic, time.time), ready_after_s=0)
        self._names = [f"c{number:04}" for number in range(INSTANCES_PER_HOST)]
        self._round = 0
        for host in self._hosts:
            self.fleet.apply(host, _heartbeat())
            self.fleet.apply(host, self._inventory())
            self.fleet.apply(host, self._sample())

    async def report(self) -> None:
        """Report new samples of all hosts for ever, spread over the interval."""
        while True:
            self._round += 1
            for host in self._hosts:
                self.fleet.apply(host, _heartbeat())
                self.fleet.apply(host, self._sample())
                await asyncio.sleep(INTERVAL_S / len(self._hosts))

    def _inventory(self) -> Inventory:
        instances = [a_documented_instance(name, revision=1) for name in self._names]
        return Inventory(epoch=1, sequence=1, at=AT, instances=instances)

    def _sample(self) -> EncodedSample:
        return encoded_sample(
            msgspec.structs.replace(
                a_sample_message(),
                sequence=self._round + 1,
                instances=[self._instance_sample(name) for name in self._names],
            )
        )

    def _instance_sample(self, name: str) -> InstanceSample:
        return msgspec.structs.replace(
            MEASURED, name=name, uuid=f"uuid-{name}", cpu_user_s=12.25 + self._round
        )


def app_over(fleet: FleetView) -> FastAPI:
    """Return a gateway's app over this fleet."""
    return FakeGateway(fleet=cast("FakeFleet", fleet)).app()


def _heartbeat() -> Heartbeat:
    clock = f"{time.time():.3f}"
    return Heartbeat(
        epoch=1, sequence=1, clock=clock, lxd_connected=True, interval_s=2.0, fingerprint="f0"
    )
