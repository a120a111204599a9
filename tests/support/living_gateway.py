"""A gateway over fakes that changes when it is told to, for whoever tries the API as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from services.gateway.operations.command import Caller
from services.gateway.operations.store import IdempotencyKey
from services.gateway.vms.snapshots import DescribedSnapshot
from services.gateway.vms.templates import Template
from shared.contracts.errors import HostStillOnline
from shared.contracts.hosts import Network
from shared.contracts.instance_config import ImageSource
from shared.contracts.operations import Command, Kind, Operation, Secrets
from shared.contracts.policy_api import HostRun
from shared.contracts.worker_api import Snapshot
from tests.support.builders import a_description, a_documented_instance, a_policy, a_run
from tests.support.central import FakeCentre
from tests.support.gateway import FakeFleet, FakeHosts, FakeOperations, FakeSnapshots
from tests.support.gateway_http import LOOPBACK, FakeGateway
from tests.support.views import a_host_view, a_view, view_of

TOKEN = "0123456789abcdef" * 2
UBUNTU = Template("ubuntu20.04", "ubuntu20.04", (ImageSource(alias="busybox"),))


@dataclass
class LivingOperations(FakeOperations):
    """Creations and deletions of instances change the fleet, as if a worker had told of them."""

    fleet: FakeFleet = field(default_factory=FakeFleet)

    async def submit(
        self,
        command: Command,
        caller: Caller,
        key: IdempotencyKey | None = None,
        secrets: Secrets | None = None,
        **more: Any,
    ) -> Operation:
        operation = await super().submit(command, caller, key, secrets, **more)
        instances = self.fleet.known_instances
        if command.kind is Kind.CREATE:
            made = a_documented_instance(command.instance, uuid=command.uuid, status="Stopped")
            self.fleet.change(instances=[*instances, view_of(made, host=command.host)])
        if command.kind is Kind.DELETE:
            left = [each for each in instances if each.instance.uuid != command.uuid]
            self.fleet.change(instances=left)
        return operation

    async def recall(self, key: IdempotencyKey) -> Operation | None:
        """Take each key for a new one: those that are tried are `0` for request after request."""
        return None


def a_gateway() -> FakeGateway:
    """Return a gateway with two hosts, some instances, one with a snapshot, and a template."""
    bridge = Network(name="br0", type="bridge", managed=False)
    hosts = [
        a_host_view("h1", resources=a_description(networks=[bridge])),
        a_host_view("h2"),
    ]
    instances = [a_view(f"i{number}", uuid=f"u{number}") for number in range(8)]
    fleet = FakeFleet()
    fleet.change(hosts=hosts, instances=instances)
    snapshot = DescribedSnapshot(Snapshot(name="before", created_at="2026-01-23T11:30:00Z"), "")
    centre = FakeCentre()
    centre.policies = {"p-1": a_policy(name="nightly")}
    centre.runs, centre.cursor = [HostRun(host="h1", run=a_run())], "c-1"
    return FakeGateway(
        centre=centre,
        settings=replace(LOOPBACK, token=TOKEN),
        fleet=fleet,
        operations=LivingOperations(fleet=fleet),
        hosts=FakeHosts(refusal=HostStillOnline("h1")),
        snapshots=FakeSnapshots(of={f"u{number}": [snapshot] for number in range(8)}),
        templates=[UBUNTU],
    )
