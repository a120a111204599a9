"""What hosts report, with everything filled in that a test does not care about."""

from __future__ import annotations

from shared.contracts.events import (
    Heartbeat,
    HostDescribed,
    InstanceChanged,
    InstanceRemoved,
    Inventory,
    Sampled,
)
from shared.contracts.instances import HostSample, Instance, InstanceSample
from shared.contracts.operations import Kind, Operation, State
from tests.support.clock import STARTED

AT = "2026-11-20T10:00:00Z"


def an_instance(
    name: str = "web", *, revision: int = 1, uuid: str = "", **more: object
) -> Instance:
    """Return a running container; its uuid follows from its name unless one is given."""
    filled: dict[str, object] = {
        "type": "container",
        "status": "Running",
        "architecture": "x86_64",
        "created_at": AT,
        **more,
    }
    return Instance(name=name, uuid=uuid or f"uuid-of-{name}", revision=revision, **filled)  # type: ignore[arg-type]


def a_heartbeat(
    epoch: int = 1, sequence: int = 0, *, fingerprint: str = "f1", **more: object
) -> Heartbeat:
    """Return a heartbeat of a worker whose LXD is connected."""
    filled: dict[str, object] = {
        "clock": f"{STARTED}",
        "lxd_connected": True,
        "interval_s": 5.0,
        **more,
    }
    return Heartbeat(epoch=epoch, sequence=sequence, fingerprint=fingerprint, **filled)  # type: ignore[arg-type]


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


def a_description(*, epoch: int = 1, **more: object) -> HostDescribed:
    """Return what a host has for new instances: nothing."""
    return HostDescribed(epoch=epoch, at=AT, **more)  # type: ignore[arg-type]


def a_sample(*instances: Instance, epoch: int = 1, sequence: int = 1) -> Sampled:
    """Return a sample of a host and these instances."""
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


def an_operation(
    operation_id: str = "op-1",
    *,
    state: State = State.RUNNING,
    sequence: int = 1,
    host: str = "h1",
    instance: str = "web",
    **more: object,
) -> Operation:
    """Return an operation that starts an instance, as its worker reports it."""
    filled: dict[str, object] = {
        "kind": Kind.START,
        "uuid": f"uuid-of-{instance}",
        "principal": "admin",
        "created_at": AT,
        **more,
    }
    return Operation(
        operation_id=operation_id,
        host=host,
        instance=instance,
        state=state,
        sequence=sequence,
        **filled,  # type: ignore[arg-type]
    )
