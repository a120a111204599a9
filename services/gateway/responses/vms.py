"""An instance as the VM API v1 shows it: memory in MiB, disk in GiB, times in UTC with `Z`.

As in the instances API no number is ever null: what is not known is 0 and named in `unknown`. An
instance without limits has what its host has, a virtual machine without them LXD's own default.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from services.gateway import units
from services.gateway.fleet import port_forwards
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses import instances as shown
from services.gateway.vms.limits import VmLimits, shown_limits
from services.gateway.vms.naming import shown_name
from shared.contracts.hosts import CONTAINER, VIRTUAL_MACHINE
from shared.contracts.instances import Instance
from shared.contracts.sizes import cpu_count
from shared.contracts.status import Status

ID_PREFIX = "vm-"
TYPES = (CONTAINER, VIRTUAL_MACHINE)
# What LXD gives a virtual machine that has no limit.
VM_CPUS, VM_MEMORY = 1, units.GIB

RUNNING, STOPPED, PAUSED, CREATING, ERROR = "running", "stopped", "paused", "creating", "error"
# LXD's words for what lies between two states are those of the state that is being left.
_STATUS: Mapping[str, str] = {
    Status.RUNNING: RUNNING,
    Status.READY: RUNNING,
    Status.STARTED: RUNNING,
    Status.STOPPING: RUNNING,
    Status.ABORTING: RUNNING,
    Status.FREEZING: RUNNING,
    Status.STOPPED: STOPPED,
    Status.STARTING: STOPPED,
    Status.FROZEN: PAUSED,
    Status.THAWED: RUNNING,
    Status.ERROR: ERROR,
    # Ours, of what LXD has not completed.
    "Creating": CREATING,
}


class VmTrash(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a revert brings back, `disk` in GiB; `instance` is its name in LXD."""

    until: str
    disk: float
    instance: str


class Vm(Struct, frozen=True, kw_only=True, rename="camel"):
    """The document's fields, then ours; `stale`: the host or its LXD is away.

    `progress` and `operation` are those of its creation, until that is done; `error` says why it
    could not be created, or is that of `InstanceView`. `trash` is there after a rebuild.
    """

    id: str
    name: str
    status: str
    cpu: int
    memory: int
    disk: float
    os: str
    ip: str
    created_at: str
    updated_at: str
    description: str
    labels: dict[str, str]
    auto_start: bool
    type: str
    architecture: str
    host: str
    project: str
    instance: str
    ipv6: str
    networks: tuple[str, ...]
    limits: VmLimits
    ssh_port: int | None
    nat_ports: str | None
    host_online: bool
    age_s: int
    stale: bool
    duplicate: bool
    ephemeral: bool
    addresses: list[str]
    unknown: list[str]
    progress: int | None
    operation: str | None
    trash: VmTrash | None
    error: str | None = None


class VmState(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The state of an instance, and whether it is known to be so now; `error` as in `Vm`."""

    id: str
    name: str
    status: str
    host: str
    host_online: bool
    age_s: int
    stale: bool
    error: str | None = None


FIELDS = Vm.__struct_encode_fields__


def vm(known: InstanceView, host: HostView, *, secrets: bool) -> Vm:
    """Return all of an instance; without `secrets` a password in the description is masked."""
    instance, creation = known.instance, known.creation
    reached = port_forwards.nat(instance, note_is_anothers=known.note_is_anothers)
    created = units.known_instant(instance.created_at)
    sizes = _sizes(known, host)
    return Vm(
        id=vm_id(known),
        name=shown_name(instance),
        status=status(instance),
        cpu=sizes["cpu"] or 0,
        memory=units.mib(sizes["memory"]),
        disk=units.gib_exactly(sizes["disk"] or 0),
        os=instance.os,
        ip=shown.address(known, "inet") or shown.address(known, "inet6") or "",
        created_at=units.utc_text(created or units.EPOCH),
        updated_at=updated_at(known),
        description=shown.described(known, secrets=secrets),
        labels=instance.labels,
        auto_start=instance.auto_start,
        type=instance.type if instance.type in TYPES else CONTAINER,
        architecture=instance.architecture,
        host=known.host,
        project=instance.project,
        instance=instance.name,
        ipv6=shown.address(known, "inet6") or "",
        networks=instance.networks,
        limits=shown_limits(instance.limits),
        ssh_port=reached.ssh_port,
        nat_ports=reached.nat_ports,
        host_online=known.host_online,
        age_s=shown.age_s(known),
        stale=shown.is_stale(known, host),
        duplicate=known.duplicate,
        ephemeral=instance.ephemeral,
        addresses=shown.addresses(known),
        unknown=[name for name, value in (sizes | {"createdAt": created}).items() if value is None],
        progress=creation.progress or 0 if creation else None,
        operation=creation.operation_id if creation else None,
        trash=vm_trash(instance),
        error=known.error,
    )


def vm_trash(instance: Instance) -> VmTrash | None:
    """Return what a revert of an instance brings back; None: nothing."""
    kept = instance.trash
    if kept is None:
        return None
    return VmTrash(
        until=units.utc_text(units.instant(kept.until)),
        disk=units.gib_exactly(kept.size or 0),
        instance=kept.name,
    )


def vm_state(known: InstanceView, host: HostView) -> VmState:
    """Return the state of an instance."""
    return VmState(
        id=vm_id(known),
        name=shown_name(known.instance),
        status=status(known.instance),
        host=known.host,
        host_online=known.host_online,
        age_s=shown.age_s(known),
        stale=shown.is_stale(known, host),
        error=known.error,
    )


def vm_id(known: InstanceView) -> str:
    """Return what an instance is called for good, whatever it is renamed to and wherever it goes.

    One to which LXD gave no uuid has only its place, and so has one whose uuid is another's id.
    """
    uuid = known.instance.uuid
    if uuid and not known.duplicate:
        return f"{ID_PREFIX}{uuid}"
    return f"{known.host}:{known.instance.name}"


def status(instance: Instance) -> str:
    """Return the document's word for what LXD says."""
    return _STATUS.get(instance.status, ERROR)


def updated_at(known: InstanceView) -> str:
    """Return when its configuration or state was last seen to change, at the least its creation."""
    created = units.instant(known.instance.created_at)
    if known.changed_at is None:
        return units.utc_text(created)
    return units.utc_text(max(created, units.moment(known.changed_at)))


def cpus(instance: Instance, host: HostView) -> int | None:
    """Return how many CPUs an instance may use, of a count (`2`) or a set (`0-3`, `1,3`).

    None: that is not known.
    """
    if instance.cpu_limit:
        return cpu_count(instance.cpu_limit)
    if instance.type == VIRTUAL_MACHINE:
        return VM_CPUS
    return host.sample.host.cpu_cores if host.sample else None


def _sizes(known: InstanceView, host: HostView) -> dict[str, int | None]:
    """Return what can be limited of an instance; None: that is not known."""
    if known.error:
        return dict.fromkeys(("cpu", "memory", "disk"))
    return {
        "cpu": cpus(known.instance, host),
        "memory": _memory(known.instance, host),
        "disk": _disk(known, host),
    }


def _memory(instance: Instance, host: HostView) -> int | None:
    if instance.memory_limit is not None:
        return instance.memory_limit
    if instance.type == VIRTUAL_MACHINE:
        return VM_MEMORY
    return host.sample.host.memory_total if host.sample else None


def _disk(known: InstanceView, host: HostView) -> int | None:
    if known.instance.root_size is not None:
        return known.instance.root_size
    if known.sample is not None and known.sample.disk_total is not None:
        return known.sample.disk_total
    return host.sample.host.disk_total if host.sample else None
