"""The fleet that the golden answers are of, and the gateway over it.

The gateway's own parts are real; its database is in memory and its workers are fakes that carry out
every command at once. All clocks stand still, so the same request gets the same answer every time.

Hosts: `h1` is well, `h2` has a machine of each kind that is unlike those of `h1`, `h3` is away,
`h4` has lost its LXD.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import msgspec
from fastapi import FastAPI

from services.gateway import units
from services.gateway.bus.event_validation import HostMessage
from services.gateway.consoles import ConsoleService
from services.gateway.fleet.encoded_samples import EncodedSample, encoded_sample
from services.gateway.health import GatewayHealth
from services.gateway.http import create_app
from services.gateway.policies.service import PolicyService
from services.gateway.settings import HttpSettings
from services.gateway.telemetry import Telemetry
from services.gateway.vms.templates import Template
from shared.contracts.events import ImageServersRead, Inventory, OperationChanged, PolicyRunChanged
from shared.contracts.hosts import Capacity, Image, Network, ServedImage
from shared.contracts.instance_config import Forward, ImageSource, Limits
from shared.contracts.instances import Instance, Proxy, Trash
from shared.contracts.operations import Arguments, Kind, State, Submission
from shared.contracts.policies import ProtectionState
from shared.contracts.policy_api import SnapshotsClient
from shared.contracts.samples import InstanceSample
from shared.contracts.worker_api import Snapshot, WorkerClient
from tests.support.builders import (
    AT,
    GIB,
    MIB,
    a_description,
    a_documented_instance,
    a_heartbeat,
    a_host_sample,
    a_protection,
    a_protection_report,
    a_run,
    a_sample_message,
    an_instance_sample,
    an_operation,
)
from tests.support.central import FakeCentre, FakeRunKeys
from tests.support.consoles import FakeConsoles
from tests.support.core import Core
from tests.support.gateway import FakeHealth
from tests.support.workers import FakeWorkers

# By the gateway's clock.
EARLIER = "2026-11-18T10:00:00Z"
TOKEN = "0123456789abcdef" * 2
SETTINGS = HttpSettings(
    binds=(("127.0.0.1", 8000),),
    token=TOKEN,
    allowed_origins=("https://panel.example",),
    open_networks=("10.0.0.0/8",),
    # What a worker has not ended at once it will not end.
    sync_wait_s=0.01,
)
UBUNTU = Template(
    "ubuntu20.04",
    "ubuntu20.04",
    (ImageSource(alias="busybox"), ImageSource(remote="images", alias="ubuntu/20.04")),
    description="Ubuntu 20.04 LTS",
)

LEFT_BEHIND = {
    Kind.START: "Running",
    Kind.STOP: "Stopped",
    Kind.RESTART: "Running",
    Kind.FREEZE: "Frozen",
    Kind.UNFREEZE: "Running",
}


def uuid(number: int) -> str:
    """Return a uuid that nobody draws: it has no version."""
    return f"00000000-0000-0000-0000-{number:012}"


WEB = a_documented_instance(
    "web",
    uuid=uuid(1),
    display_name="Web Server",
    description="web 20001 password123 30000 30025",
    user={"description": "web 20001 password123 30000 30025"},
    proxies=(
        Proxy(device="ssh", listen="tcp:203.0.113.5:20001", connect="tcp:127.0.0.1:22"),
        Proxy(
            device="www",
            listen="tcp:0.0.0.0:80",
            connect="tcp:127.0.0.1:80",
            options={"proxy_protocol": "true"},
        ),
    ),
    cpu_limit="2",
    profiles=("default",),
    labels={"env": "prod", "team": "shop"},
    auto_start=True,
    os="ubuntu20.04",
    networks=("lxdbr0",),
    limits=Limits(ingress=100_000_000, egress=50_000_000, read=30_000_000, processes=500),
)
ON_H1 = (
    WEB,
    a_documented_instance(
        "db", uuid=uuid(2), status="Stopped", description="", labels={"env": "test"}
    ),
    a_documented_instance(
        "cache", uuid=uuid(3), status="Frozen", description="", memory_limit=None
    ),
    a_documented_instance(
        "rebuilt",
        uuid=uuid(4),
        description="",
        trash=Trash(name="lxdfleet-trash-rebuilt", until="2026-11-21T10:00:00Z", size=8 * GIB),
    ),
    a_documented_instance("passing", uuid=uuid(5), description="", ephemeral=True),
    a_documented_instance("twin", uuid=uuid(6), description=""),
    a_documented_instance("shared", uuid=uuid(7), description=""),
    a_documented_instance("shared", uuid=uuid(8), description="", project="shop"),
)
ON_H2 = (
    a_documented_instance(
        "desktop",
        uuid=uuid(11),
        type="virtual-machine",
        description="an office's machine",
        root_size=None,
        memory_limit=None,
        location="rack2",
    ),
    a_documented_instance("twin", uuid=uuid(12), status="Stopped", description=""),
    a_documented_instance("copy", uuid=uuid(1), description=""),
)
ON_H3 = (a_documented_instance("far", uuid=uuid(21), description=""),)
ON_H4 = (a_documented_instance("lost", uuid=uuid(31), description=""),)

SAMPLES = (
    an_instance_sample(
        "web",
        uuid=uuid(1),
        cpu_core_percent=95.0,
        cpu_ns=12_500_000_000,
        disk_read=1_024_000,
        disk_write=512_000,
        disk_read_rate=100.0,
        disk_write_rate=50.0,
        network_rx_rate=2000.0,
        network_tx_rate=1000.0,
    ),
    an_instance_sample("cache", uuid=uuid(3), addresses=()),
)
# As h1 reports them.
PROTECTIONS = (
    a_protection(WEB, newest_good="2026-11-18T10:00:00Z", due="2026-11-19T10:00:00Z"),
    a_protection(
        ON_H1[1],
        state=ProtectionState.LATE,
        newest_good="2026-11-17T10:00:00Z",
        due="2026-11-19T10:00:00Z",
    ),
    a_protection(
        ON_H1[2],
        state=ProtectionState.FAILING,
        newest_good="",
        snapshots=0,
        due="2026-11-18T12:00:00Z",
        failures=3,
        code="command_failed",
    ),
    a_protection(
        ON_H1[7],
        newest_good="2026-11-18T10:00:00Z",
        due="2026-11-19T10:00:00Z",
        policies=("daily", "monthly"),
    ),
)
RUN = a_run(uuid=uuid(1))
IMAGES = [
    Image(fingerprint="ab12cd34ef56", aliases=("busybox",), os="busybox1", architecture="x86_64"),
    Image(fingerprint="0123456789ab", type="virtual-machine", os="debian12"),
]
SERVED = [
    ServedImage(aliases=("alpine/3.22", "alpine/latest"), types=("container",), os="alpine3.22"),
    ServedImage(aliases=("ubuntu/20.04",), types=("container", "virtual-machine")),
]
SNAPSHOTS = [
    Snapshot(name="before", created_at="2026-01-23T11:30:00Z"),
    Snapshot(
        name="daily-20260123T200000Z",
        created_at="2026-01-23T20:00:00Z",
        expires_at="2026-02-23T20:00:00Z",
        policy="daily",
        protected=True,
        tags=("release", "1.0"),
    ),
    Snapshot(name="full", created_at="2026-01-24T11:30:00Z", stateful=True, size=5 * MIB),
]


class ObedientWorkers(FakeWorkers):
    """Workers that have carried out a command when they answer.

    `ends` is how what they are told ends, None: it goes on; `report` takes what they publish.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[str, object] | None = {}
        self.publish: Callable[[str, HostMessage], None] = lambda host, event: None
        self.instances: Callable[[Submission], Instance | None] = lambda submission: None
        self.snapshots = SNAPSHOTS

    def _submit(self, host: str, wired: object) -> object:
        accepted = super()._submit(host, wired)
        submission = self.submissions[-1]
        if self.ends is not None:
            self._end(host, submission, self.ends)
        return accepted

    def _end(self, host: str, submission: Submission, ends: dict[str, object]) -> None:
        known = self.instances(submission)
        after = become(submission, known or created(submission))
        filled: dict[str, object] = {
            "after": after,
            "after_epoch": 1,
            "changed": after != known or submission.kind is Kind.RESTART,
            "state": State.DONE,
            "finished_at": "2026-11-20T10:00:02Z",
            **ends,
        }
        accepted = self.journal[submission.operation_id]
        operation = self.report(msgspec.structs.replace(accepted, **filled))
        self.publish(host, OperationChanged(operation=operation))


def created(command: Submission) -> Instance:
    """Return what a creation makes, as far as its command tells."""
    new = command.arguments.create
    shown = new.display_name if new else ""
    return a_documented_instance(
        command.instance, uuid=command.uuid, status="Stopped", display_name=shown, description=""
    )


def become(command: Submission, instance: Instance) -> Instance | None:
    """Return what a command makes of an instance; None: it is gone."""
    change, arguments = msgspec.structs.replace, command.arguments
    if command.kind is Kind.DELETE:
        return None
    if command.kind is Kind.RENAME:
        return change(instance, name=arguments.new_name, display_name=arguments.display_name)
    if command.kind is Kind.UPDATE:
        return _changed(instance, arguments)
    if command.kind in LEFT_BEHIND:
        return change(instance, status=LEFT_BEHIND[command.kind])
    if command.kind is Kind.REBUILD:
        trash = Trash(name="lxdfleet-trash-new", until="2026-11-21T10:00:02Z", size=10 * GIB)
        return change(instance, trash=trash)
    return change(instance, revision=instance.revision + 1)


def _changed(instance: Instance, arguments: Arguments) -> Instance:
    changes = arguments.changes
    if changes is None:
        return instance
    asked = {
        "cpu_limit": None if changes.cpu is None else str(changes.cpu),
        "memory_limit": changes.memory,
        "root_size": changes.disk,
        "description": changes.description,
        "auto_start": changes.auto_start,
        "labels": changes.labels,
        "proxies": None if changes.forwards is None else tuple(map(_proxy, changes.forwards)),
    }
    wanted = {name: value for name, value in asked.items() if value is not None}
    return msgspec.structs.replace(instance, **wanted)


def _proxy(forward: Forward) -> Proxy:
    listen = f"{forward.protocol}:203.0.113.5:{forward.listen or 30000}"
    connect = f"{forward.protocol}:127.0.0.1:{forward.connect}"
    return Proxy(device=f"forward-{forward.connect}", listen=listen, connect=connect)


@dataclass
class GoldenGateway:
    """A gateway over that fleet; `unready` has not heard of any host."""

    settings: HttpSettings = SETTINGS
    unready: bool = False
    workers: ObedientWorkers = field(default_factory=ObedientWorkers)
    centre: FakeCentre = field(default_factory=FakeCentre)
    run_keys: FakeRunKeys = field(default_factory=FakeRunKeys)
    consoles: FakeConsoles = field(default_factory=FakeConsoles)
    health: FakeHealth = field(default_factory=FakeHealth)

    def __post_init__(self) -> None:
        ready_after_s = 60 if self.unready else 0
        self.core = Core(
            workers=self.workers, catalogue=[UBUNTU], first=(), ready_after_s=ready_after_s
        )
        self.workers.publish = self.core.events.on_event
        self.workers.instances = self._instance
        if not self.unready:
            self._fill()

    def app(self) -> FastAPI:
        """Return the app."""
        core = self.core
        return create_app(
            fleet=core.fleet,
            operations=core.operations,
            creations=core.creations,
            snapshots=core.snapshots,
            policies=PolicyService(
                core.fleet,
                SnapshotsClient(self.centre),
                WorkerClient(self.workers),
                self.run_keys,
            ),
            logs=core.logs,
            consoles=cast("ConsoleService", self.consoles),
            hosts=core.persistence,
            health=cast("GatewayHealth", self.health),
            telemetry=Telemetry(core.fleet),
            settings=self.settings,
            now=lambda: units.moment(core.time.clock.wall()),
            monotonic=core.time.clock.monotonic,
        )

    def under(self, **settings: object) -> None:
        """Change settings."""
        self.settings = replace(self.settings, **settings)  # type: ignore[arg-type]

    def hear(self, host: str, *events: HostMessage) -> None:
        """Take what a host reports."""
        for event in events:
            if not isinstance(event, OperationChanged):
                self.core.fleet.apply(host, event)

    def go_on(self, operation_id: str, **more: object) -> None:
        """Take an operation of `web` that is not the caller's doing and has not ended."""
        filled: dict[str, object] = {
            "kind": Kind.RESTART,
            "uuid": uuid(1),
            "progress": 40,
            "step": "stop",
            "sequence": 5,
            "created_at": EARLIER,
            "accepted_at": EARLIER,
            "started_at": EARLIER,
            **more,
        }
        operation = an_operation(operation_id, **filled)  # type: ignore[arg-type]
        self.workers.journal[operation_id] = operation
        self.core.events.on_event("h1", OperationChanged(operation=operation))

    def _instance(self, command: Submission) -> Instance | None:
        found = self.core.fleet.with_uuid(command.uuid)
        return next((each.instance for each in found if each.host == command.host), None)

    def _fill(self) -> None:
        bridge = Network(name="br0", type="bridge", managed=False)
        lxds = Network(name="lxdbr0", type="bridge", managed=True)
        self.hear("h3", _beat("h3"), _inventory(ON_H3))
        self.core.time.advance(600)
        self.hear(
            "h1",
            _beat("h1"),
            _inventory(ON_H1),
            _sampled(SAMPLES),
            a_description(
                images=IMAGES,
                networks=[bridge, lxds],
                projects=["default", "shop"],
                address="203.0.113.5",
            ),
            ImageServersRead(epoch=1, at=AT, servers={"images": SERVED, "unread": None}),
        )
        self.hear(
            "h2",
            _beat("h2", server="incus", lxd="6.0.4"),
            _inventory(ON_H2),
            _sampled((an_instance_sample("desktop", uuid=uuid(11)),)),
            a_description(images=[], capacity=Capacity(cpu=4, memory=4 * GIB, disk=50 * GIB)),
        )
        self.hear("h1", a_protection_report(*PROTECTIONS), PolicyRunChanged(run=RUN))
        self.hear("h4", _beat("h4"), _inventory(ON_H4), _beat("h4", lxd_connected=False))
        self.core.time.advance(1.5)


def _beat(host: str, **more: object) -> HostMessage:
    filled: dict[str, object] = {
        "fingerprint": f"fingerprint-of-{host}",
        "lxd": "5.0.2",
        "server": "lxd",
        "server_name": host,
        "journal_length": 3,
        **more,
    }
    return a_heartbeat(**filled)  # type: ignore[arg-type]


def _inventory(instances: Sequence[Instance]) -> Inventory:
    return Inventory(epoch=1, sequence=1, at=AT, instances=list(instances))


def _sampled(samples: Sequence[InstanceSample]) -> EncodedSample:
    instances = msgspec.structs.replace(a_sample_message(), instances=list(samples))
    return replace(a_host_sample(load_1=0.5), instances=encoded_sample(instances).instances)
