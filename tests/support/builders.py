"""Builders of what crosses the bus, with everything filled in that a test does not care about.

`changes` are fields of what is built; a name that it has no field of is a TypeError.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from services.gateway.fleet.encoded_protection import EncodedProtection, encoded_protection
from services.gateway.fleet.encoded_samples import EncodedSample, encoded_sample
from shared.contracts.events import (
    Heartbeat,
    HostDescribed,
    InstanceChanged,
    InstanceRemoved,
    Inventory,
    ProtectionReported,
    Sampled,
)
from shared.contracts.hosts import Capacity, Image, Network
from shared.contracts.instance_config import ImageSource, NewInstance
from shared.contracts.instances import Instance
from shared.contracts.operations import Arguments, Kind, Operation, State, Submission
from shared.contracts.policies import (
    Policy,
    PolicyRun,
    Protection,
    ProtectionState,
    Retention,
    RunState,
    Schedule,
    Selection,
)
from shared.contracts.samples import Address, HostSample, InstanceSample
from tests.support.clock import STARTED

MIB = 2**20
GIB = 2**30
AT = "2026-11-20T10:00:00Z"
NEW_UUID = "00000000-0000-4000-8000-000000000001"
NO_ARGUMENTS = Arguments()


def an_instance(name: str = "web", **changes: Any) -> Instance:
    """Return a running container; its uuid follows from its name unless one is given."""
    running = Instance(
        name=name,
        uuid=f"uuid-{name}",
        type="container",
        status="Running",
        architecture="x86_64",
        created_at=AT,
        revision=1,
    )
    return replace(running, **changes)


def a_documented_instance(name: str = "test1", **changes: Any) -> Instance:
    """Return a running container as the instances API's document shows it."""
    documented = an_instance(
        name,
        created_at="2026-01-20T10:00:00Z",
        description=f"{name} 20001 password123 30000 30025",
        memory_limit=512 * MIB,
        root_size=10 * GIB,
        revision=0,
    )
    return replace(documented, **changes)


def an_instance_sample(name: str = "test1", **changes: Any) -> InstanceSample:
    """Return the use that the document shows."""
    documented = InstanceSample(
        name=name,
        uuid=f"uuid-{name}",
        cpu_percent=47.5,
        memory_used=256 * MIB,
        memory_total=512 * MIB,
        disk_used=2 * GIB,
        disk_total=10 * GIB,
        network_rx=100 * MIB,
        network_tx=50 * MIB,
        processes=3,
        addresses=(
            Address(device="eth0", family="inet", address="10.0.0.100", scope="global"),
            Address(device="eth0", family="inet6", address="fe80::1", scope="link"),
        ),
    )
    return replace(documented, **changes)


def a_host_sample(**changes: Any) -> EncodedSample:
    """Return a sample of no instances and of a host with the figures that the document shows."""
    documented = HostSample(
        cpu_cores=4,
        cpu_percent=35.2,
        memory_total=16 * GIB,
        memory_used=8 * GIB,
        disk_total=500 * GIB,
        disk_used=250 * GIB,
    )
    message = a_sample_message()
    return encoded_sample(
        replace(message, at="2026-01-23T11:30:00Z", host=replace(documented, **changes))
    )


def a_sample(*instances: Instance, epoch: int = 1, sequence: int = 1) -> EncodedSample:
    """Return a sample of a host and these instances, as gateways hold it."""
    return encoded_sample(a_sample_message(*instances, epoch=epoch, sequence=sequence))


def a_sample_message(*instances: Instance, epoch: int = 1, sequence: int = 1) -> Sampled:
    """Return a sample of a host and these instances, as samplers send it."""
    return Sampled(
        epoch=epoch,
        sequence=sequence,
        at=AT,
        interval_s=5.0,
        source="lxd",
        host=HostSample(
            cpu_cores=4,
            cpu_percent=10.0,
            memory_total=8,
            memory_used=4,
            disk_total=100,
            disk_used=50,
        ),
        instances=[
            InstanceSample(name=instance.name, uuid=instance.uuid, cpu_percent=5.0)
            for instance in instances
        ],
    )


def a_heartbeat(epoch: int = 1, sequence: int = 0, **changes: Any) -> Heartbeat:
    """Return a heartbeat of a worker whose LXD is connected."""
    connected = Heartbeat(
        epoch=epoch,
        sequence=sequence,
        fingerprint="f1",
        clock=f"{STARTED}",
        lxd_connected=True,
        interval_s=5.0,
    )
    return replace(connected, **changes)


def a_policy(policy_id: str = "p-1", **changes: Any) -> Policy:
    """Return a policy `daily` that keeps a week of all instances of the project `default`."""
    daily = Policy(
        id=policy_id,
        name="daily",
        schedule=Schedule(cron="45 20 * * *", timezone="Asia/Shanghai"),
        selection=Selection(projects=("default",)),
        retention=Retention(keep_daily=7),
    )
    return replace(daily, **changes)


def a_protection(instance: Instance, **changes: Any) -> Protection:
    """Return how a policy `daily` protects an instance that has a snapshot of yesterday."""
    protected = Protection(
        name=instance.name,
        uuid=instance.uuid,
        project=instance.project,
        state=ProtectionState.PROTECTED,
        policies=("daily",),
        newest_good="2026-11-19T20:00:00Z",
        snapshots=7,
        due="2026-11-20T20:00:00Z",
    )
    return replace(protected, **changes)


def a_protection_report(*instances: Protection, **changes: Any) -> EncodedProtection:
    """Return what a host with a plan reports of these instances, as gateways hold it."""
    report = ProtectionReported(
        epoch=1,
        at=AT,
        plan_version=12,
        digest="a" * 64,
        clock_trusted=True,
        instances=list(instances),
    )
    return encoded_protection(replace(report, **changes))


def a_run(operation_id: str = "run-1", *, sequence: int = 1, **changes: Any) -> PolicyRun:
    """Return the run of a policy `daily` that took a snapshot of `web` and pruned one."""
    run = PolicyRun(
        operation_id=operation_id,
        policy_id="p-1",
        policy="daily",
        revision=3,
        slot="2026-11-20T09:00:00Z",
        instance="web",
        uuid="uuid-web",
        state=RunState.TAKEN,
        sequence=sequence,
        snapshot="daily-20261120T090000Z",
        started_at="2026-11-20T09:00:01Z",
        finished_at="2026-11-20T09:00:03Z",
        pruned=("daily-20261113T090000Z",),
        pruned_count=1,
    )
    return replace(run, **changes)


def an_inventory(*instances: Instance, epoch: int = 1, sequence: int = 1) -> Inventory:
    """Return a full inventory."""
    return Inventory(epoch=epoch, sequence=sequence, at=AT, instances=list(instances))


def a_change(
    instance: Instance, *, epoch: int = 1, sequence: int = 2, action: str = "instance-updated"
) -> InstanceChanged:
    """Return a change of one instance."""
    return InstanceChanged(epoch=epoch, sequence=sequence, at=AT, action=action, instance=instance)


def a_removal(
    name: str = "web", *, epoch: int = 1, sequence: int = 2, revision: int = 2
) -> InstanceRemoved:
    """Return a deletion."""
    return InstanceRemoved(
        epoch=epoch,
        sequence=sequence,
        at=AT,
        action="instance-deleted",
        name=name,
        revision=revision,
    )


def a_description(**changes: Any) -> HostDescribed:
    """Return what a host with 8 CPUs and one image, `busybox`, has for new instances."""
    described = HostDescribed(
        epoch=1,
        at="2026-01-23T11:30:00Z",
        capacity=Capacity(cpu=8, memory=16 * GIB, disk=100 * GIB),
        images=[Image(fingerprint="ab12cd34ef56", aliases=("busybox",), os="busybox1")],
        networks=[Network(name="lxdbr0", type="bridge", managed=True)],
        projects=["default"],
    )
    return replace(described, **changes)


def an_operation(
    operation_id: str = "op-1",
    *,
    state: State = State.RUNNING,
    sequence: int = 1,
    instance: str = "web",
    **changes: Any,
) -> Operation:
    """Return an operation that starts an instance, as its worker reports it."""
    starting = Operation(
        operation_id=operation_id,
        host="h1",
        instance=instance,
        state=state,
        sequence=sequence,
        kind=Kind.START,
        uuid=f"uuid-{instance}",
        principal="admin",
        created_at=AT,
    )
    return replace(starting, **changes)


def a_submission(
    kind: Kind = Kind.STOP,
    instance: str = "web",
    arguments: Arguments = NO_ARGUMENTS,
    *,
    operation_id: str = "op",
    **changes: Any,
) -> Submission:
    """Return what a gateway submits to `h1`, good for a minute of `FakeClock`."""
    submitted = Submission(
        operation_id=operation_id,
        host="h1",
        kind=kind,
        instance=instance,
        uuid=f"u-{instance}",
        principal="admin",
        start_by=f"{STARTED + 60}",
        arguments=arguments,
    )
    return replace(submitted, **changes)


def a_new_instance(**changes: Any) -> NewInstance:
    """Return a small container that is wanted."""
    small = NewInstance(image=ImageSource(alias="busybox"), cpu=1, memory=GIB, disk=GIB)
    return replace(small, **changes)


def a_creation(instance: str = "new", **new: Any) -> Submission:
    """Return the submission of a creation; `new` are fields of the instance."""
    arguments = Arguments(create=a_new_instance(**new))
    return a_submission(Kind.CREATE, instance, arguments, uuid=NEW_UUID)
