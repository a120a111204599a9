"""From LXD's description of an instance to ours.

`expanded_*` is what counts: the instance's own configuration over that of its profiles.
"""

from __future__ import annotations

from datetime import UTC, datetime

from services.lxd_worker.instances.image_os import os_of
from services.lxd_worker.instances.limits import limits_of
from services.lxd_worker.instances.parked_roots import trash_of
from services.lxd_worker.instances.proxies import proxies_in
from shared.contracts.bounds import LONGEST_WORD, clip
from shared.contracts.fitting import fit_message, shorten
from shared.contracts.instances import USER_KEYS, Instance
from shared.contracts.sizes import memory_limit, size_in_bytes
from shared.contracts.status import is_alive
from shared.lxd.models import LxdInstance

# What we keep with an instance, among the settings that LXD leaves to its users.
DISPLAY_NAME = "user.lxdfleet.name"
LABEL = "user.lxdfleet.label."
OPERATION = "user.lxdfleet.operation"

# What LXD says of the last use of an instance that was never started, whatever its precision.
_NEVER_USED = "1970-01-02"
# LXD's notation of yes.
_YES = ("true", "1", "yes", "on")
# What LXD says of an instance's member where there is no cluster.
_NO_MEMBER = "none"
_YEARS = range(1970, 9999)
# Of one instance as it is sent: an ordinary one has 700 bytes, and 10,000 of those are 7 MB.
MOST_BYTES = 32 * 1024
# What grows with what people write, or how many devices they add. Never cut: what says which
# instance it is, and its limits.
UNBOUNDED = ("description", "user", "labels", "proxies", "profiles", "networks")


class InstanceDescription(LxdInstance, frozen=True):
    """An instance as the worker reads it."""

    status: str = ""
    architecture: str = ""
    created_at: str = ""
    last_used_at: str = ""
    description: str = ""
    ephemeral: bool = False
    profiles: tuple[str, ...] | None = ()

    @property
    def uuid(self) -> str:
        """What tells the instance from a namesake; empty until LXD gives it one."""
        # As the fleet is told it, or what it means would be another instance.
        return clip(super().uuid, LONGEST_WORD)

    @property
    def complete(self) -> bool:
        """Whether LXD has finished to make it: it leaves this mark then, until the first start."""
        started = self.last_used_at > _NEVER_USED or is_alive(self.status)
        return started or "volatile.apply_template" in self.expanded_config


def instance_of(
    described: InstanceDescription, *, revision: int, host_memory: int
) -> tuple[Instance, tuple[str, ...]]:
    """Return the instance as the fleet knows it, and the places of what no message takes of it.

    Raises Unfit for one that no message can name.
    """
    return fit_message(_unbounded(described, revision, host_memory))


def abridged(instance: Instance, most: int = MOST_BYTES) -> tuple[Instance, tuple[str, ...]]:
    """Return the instance in at most so many bytes, and what that costs of what people wrote."""
    return shorten(instance, most, UNBOUNDED)


def _unbounded(described: InstanceDescription, revision: int, host_memory: int) -> Instance:
    config = described.expanded_config
    return Instance(
        name=described.name,
        uuid=described.uuid,
        type=described.type,
        status=described.status,
        architecture=described.architecture,
        created_at=utc(described.created_at),
        project=described.project,
        description=described.description,
        user={key: config[f"user.{key}"] for key in USER_KEYS if f"user.{key}" in config},
        proxies=proxies_in(dict(sorted(described.expanded_devices.items()))),
        cpu_limit=config.get("limits.cpu", ""),
        memory_limit=memory_limit(config.get("limits.memory", ""), host_memory),
        root_size=size_in_bytes(_root(described).get("size", "")),
        profiles=described.profiles or (),
        revision=revision,
        display_name=config.get(DISPLAY_NAME, ""),
        labels=_labels(config),
        operation_id=config.get(OPERATION, ""),
        auto_start=config.get("boot.autostart", "").lower() in _YES,
        os=os_of(config),
        networks=_networks(described.expanded_devices),
        location="" if described.location == _NO_MEMBER else described.location,
        ephemeral=described.ephemeral,
        limits=limits_of(config, described.expanded_devices),
        trash=trash_of(config),
    )


def utc(text: str) -> str:
    """Return LXD's time, whatever its zone and precision, as RFC 3339 with `Z`.

    Empty where it is none, or none that has a local time everywhere: LXD says "never" as the year
    1, and a backup that is imported may name any other.
    """
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return moment.isoformat().replace("+00:00", "Z") if moment.year in _YEARS else ""


def _labels(config: dict[str, str]) -> dict[str, str]:
    named = {key.removeprefix(LABEL): text for key, text in config.items() if key.startswith(LABEL)}
    return dict(sorted(named.items()))


def _networks(devices: dict[str, dict[str, str]]) -> tuple[str, ...]:
    """Return what the NICs are joined to, in the order of the NICs' names, each once."""
    joined = (
        device.get("network") or device.get("parent", "")
        for _, device in sorted(devices.items())
        if device.get("type") == "nic"
    )
    return tuple(dict.fromkeys(filter(None, joined)))


def _root(described: InstanceDescription) -> dict[str, str]:
    return described.expanded_devices.get(described.root_disk, {})
