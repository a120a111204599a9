"""What a scripted LXD makes of an instance that is changed."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import astuple, replace

from services.lxd_worker.instances.devices import Devices, proxies_in
from services.lxd_worker.instances.observation import InstanceConfig, Observation
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.transitions.step_verdict import new_snapshot
from services.lxd_worker.transitions.steps import Step
from shared.contracts.forwards import forward_of
from shared.contracts.instance_config import Changes, Limits
from shared.contracts.instances import Proxy
from shared.contracts.operations import Kind


def effect_on(look: Observation, step: Step, entry: JournalEntry) -> Observation:
    """Return the instance as it looks when the step has taken effect."""
    return _EFFECTS[step](look, entry)


def _updated(look: Observation, entry: JournalEntry) -> Observation:
    changes = entry.operation.arguments.changes or Changes()
    wanted = {
        "cpu_limit": changes.cpu and str(changes.cpu),
        "memory_limit": changes.memory,
        "root_size": changes.disk,
        "description": changes.description,
        "auto_start": changes.auto_start,
        "labels": changes.labels,
        "limits": _limited(changes.limits, look.config.limits),
        "proxies": _proxies(look, changes, entry.plan.devices if entry.plan else {}),
    }
    changed = {name: value for name, value in wanted.items() if value is not None}
    return replace(look, config=replace(look.config, **changed))


def _limited(wanted: Limits, present: Limits) -> Limits:
    limits = zip(astuple(wanted), astuple(present), strict=True)
    now = [old if new is None else new or None for new, old in limits]
    return Limits(**dict(zip(Limits.__struct_fields__, now, strict=True)))


def _proxies(look: Observation, changes: Changes, devices: Devices) -> tuple[Proxy, ...] | None:
    if changes.forwards is None:
        return None
    others = [proxy for proxy in look.config.proxies if forward_of(proxy) is None]
    return (*others, *proxies_in(devices))


def _described(look: Observation, entry: JournalEntry) -> Observation:
    if entry.operation.kind is Kind.RENAME or entry.first is None:
        return _with(look, display_name=entry.operation.arguments.display_name)
    was = entry.first.config
    return _with(look, display_name=was.display_name, description=was.description)


def _renamed(look: Observation, entry: JournalEntry) -> Observation:
    return replace(look, name=entry.operation.arguments.new_name)


def _snapshot_taken(look: Observation, entry: JournalEntry) -> Observation:
    return replace(look, snapshots=(*look.snapshots, new_snapshot(entry.operation.arguments)))


def _restored(look: Observation, _: JournalEntry) -> Observation:
    """LXD forgets the description, and the display name is that of the snapshot's time."""
    return _with(look, description="", display_name="")


def _snapshot_deleted(look: Observation, entry: JournalEntry) -> Observation:
    gone = entry.operation.arguments.snapshot
    return replace(look, snapshots=tuple(one for one in look.snapshots if one != gone))


def _with(look: Observation, **changes: str) -> Observation:
    shape: InstanceConfig = replace(look.config, **changes)
    return replace(look, config=shape)


_EFFECTS: dict[Step, Callable[[Observation, JournalEntry], Observation]] = {
    Step.UPDATE: _updated,
    Step.DESCRIBE: _described,
    Step.RENAME: _renamed,
    Step.SNAPSHOT: _snapshot_taken,
    Step.RESTORE: _restored,
    Step.DELETE_SNAPSHOT: _snapshot_deleted,
}
