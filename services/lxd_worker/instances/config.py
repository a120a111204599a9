"""What can be changed of an instance, and whether it is so already."""

from __future__ import annotations

from msgspec import Struct

from services.lxd_worker.instances.limits import fulfilled
from services.lxd_worker.instances.port_forwards import forwards_of
from shared.contracts.changes import NO_LIMITS, Changes, Limits
from shared.contracts.instances import Instance, Proxy


class InstanceConfig(Struct, frozen=True, kw_only=True):
    """The part of an instance that changes are about; the fields are those of `Instance`."""

    display_name: str = ""
    description: str = ""
    cpu_limit: str = ""
    memory_limit: int | None = None
    root_size: int | None = None
    auto_start: bool = False
    labels: dict[str, str] = {}
    proxies: tuple[Proxy, ...] = ()
    limits: Limits = NO_LIMITS

    def fulfil(self, changes: Changes) -> bool:
        """Whether nothing is left to change."""
        wanted = (
            (changes.cpu, self.cpu_limit, str(changes.cpu)),
            (changes.memory, self.memory_limit, changes.memory),
            (changes.disk, self.root_size, changes.disk),
            (changes.description, self.description, changes.description),
            (changes.auto_start, self.auto_start, changes.auto_start),
            (changes.labels, self.labels, changes.labels),
            (changes.forwards, forwards_of(self.proxies), set(changes.forwards or ())),
        )
        settings = (present == target for change, present, target in wanted if change is not None)
        return all(settings) and fulfilled(changes.limits, self.limits)


def shape_of(instance: Instance) -> InstanceConfig:
    """Return what can be changed of it, as it is now."""
    return InstanceConfig(
        display_name=instance.display_name,
        description=instance.description,
        cpu_limit=instance.cpu_limit,
        memory_limit=instance.memory_limit,
        root_size=instance.root_size,
        auto_start=instance.auto_start,
        labels=instance.labels,
        proxies=instance.proxies,
        limits=instance.limits,
    )
