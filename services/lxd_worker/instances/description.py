"""LXD's description of an instance, and what is reported of it to the fleet.

`expanded_*` is what counts: the instance's own settings over those of its profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from services.lxd_worker.instances.devices import Devices, is_nic, proxies_in
from services.lxd_worker.instances.limits import limits_of
from services.lxd_worker.instances.parked_roots import trash_of
from shared.contracts.bounds import LONGEST_WORD, clip
from shared.contracts.instances import USER_KEYS, Instance
from shared.contracts.sanitizer import fit_message, shorten
from shared.contracts.sizes import memory_limit, size_in_bytes
from shared.contracts.status import is_alive
from shared.lxd.models import LxdInstance

# What we store with an instance, in the settings that LXD leaves to its users.
DISPLAY_NAME = "user.lxdfleet.name"
LABEL = "user.lxdfleet.label."
OPERATION = "user.lxdfleet.operation"

# What LXD gives as the last use of an instance that was never started, in any precision.
_NEVER_USED = "1970-01-02"
# The values that LXD takes for yes.
_YES = ("true", "1", "yes", "on")
# An instance's cluster member where there is no cluster.
_NO_MEMBER = "none"
_YEARS = range(1970, 9999)
# Of one instance in a message: an ordinary one has 700 bytes, and 10,000 of those are 7 MB.
MOST_BYTES = 32 * 1024
# What grows with what people write, or with their devices. Never cut: identity and limits.
UNBOUNDED = ("description", "user", "labels", "proxies", "profiles", "networks")

# The versions that image servers name by a code name; only a number can be compared.
_VERSIONS = {
    "bionic": "18.04",
    "focal": "20.04",
    "jammy": "22.04",
    "noble": "24.04",
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
}


class InstanceDescription(LxdInstance, frozen=True):
    """An instance in LXD's answer, as the worker reads it."""

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
        # Clipped as in messages, or a command would name another instance.
        return clip(super().uuid, LONGEST_WORD)

    @property
    def root_size(self) -> int | None:
        """The size of the root disk in bytes; None: no limit."""
        return size_in_bytes(self.expanded_devices.get(self.root_disk, {}).get("size", ""))

    @property
    def complete(self) -> bool:
        """Whether LXD has finished creating it: until its first start it has a mark of that."""
        started = self.last_used_at > _NEVER_USED or is_alive(self.status)
        return started or "volatile.apply_template" in self.expanded_config


class EditableInstance(InstanceDescription, frozen=True, kw_only=True):
    """An instance with its own settings, without those of its profiles."""

    architecture: str
    config: dict[str, str]
    devices: Devices
    ephemeral: bool

    def whole(self, config: dict[str, str], devices: Devices) -> dict[str, object]:
        """Return all that a PUT replaces, with this configuration and these devices."""
        return {
            "architecture": self.architecture,
            "config": config,
            "devices": devices,
            "ephemeral": self.ephemeral,
            "profiles": list(self.profiles or ()),
            "description": self.description,
        }


def to_instance(
    described: InstanceDescription, *, revision: int, host_memory: int
) -> tuple[Instance, tuple[str, ...]]:
    """Return the instance as the fleet knows it, and the places of what no message can hold.

    Raises Unfit if no message can name it.
    """
    return fit_message(_unbounded(described, revision, host_memory))


def abridge(instance: Instance, most: int = MOST_BYTES) -> tuple[Instance, tuple[str, ...]]:
    """Return the instance in at most so many bytes, and the names of the fields that were cut."""
    return shorten(instance, most, UNBOUNDED)


def to_utc(text: str) -> str:
    """Return LXD's time, of any zone and precision, as RFC 3339 with `Z`.

    Empty if it is no time, or none that every zone has: LXD writes "never" as the year 1, and an
    imported backup may hold any other.
    """
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return moment.isoformat().replace("+00:00", "Z") if moment.year in _YEARS else ""


def os_of(config: Mapping[str, str]) -> str:
    """Return an image's distribution and version, as `ubuntu20.04`; empty if it names none."""
    distribution = config.get("image.os", "").lower().replace(" ", "")
    release = (config.get("image.version") or config.get("image.release", "")).lower()
    return distribution + _VERSIONS.get(release, release) if distribution else ""


def _unbounded(described: InstanceDescription, revision: int, host_memory: int) -> Instance:
    config = described.expanded_config
    return Instance(
        name=described.name,
        uuid=described.uuid,
        type=described.type,
        status=described.status,
        architecture=described.architecture,
        created_at=to_utc(described.created_at),
        project=described.project,
        description=described.description,
        user={key: config[f"user.{key}"] for key in USER_KEYS if f"user.{key}" in config},
        proxies=proxies_in(dict(sorted(described.expanded_devices.items()))),
        cpu_limit=config.get("limits.cpu", ""),
        memory_limit=memory_limit(config.get("limits.memory", ""), host_memory),
        root_size=described.root_size,
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


def _labels(config: dict[str, str]) -> dict[str, str]:
    named = {key.removeprefix(LABEL): text for key, text in config.items() if key.startswith(LABEL)}
    return dict(sorted(named.items()))


def _networks(devices: dict[str, dict[str, str]]) -> tuple[str, ...]:
    """Return the networks of the NICs, each once, in the order of the NICs' names."""
    joined = (
        device.get("network") or device.get("parent", "")
        for _, device in sorted(devices.items())
        if is_nic(device)
    )
    return tuple(dict.fromkeys(filter(None, joined)))
