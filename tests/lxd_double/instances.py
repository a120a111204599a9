"""An instance of the double: what it is, what it uses, and how LXD describes both."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.lxd_double.events import now_text

STOPPED = "Stopped"
RUNNING = "Running"
FROZEN = "Frozen"
_CODES = {STOPPED: 102, RUNNING: 103, FROZEN: 110}

LOOPBACK = "loopback"

DEFAULT = "default"

CONTAINER = "container"
VIRTUAL_MACHINE = "virtual-machine"

PROFILE_DEVICES = {
    "eth0": {"name": "eth0", "network": "lxdbr0", "type": "nic"},
    "root": {"path": "/", "pool": "default", "type": "disk"},
}
# The key by which LXD knows that an instance is made and was never started.
UNUSED = "volatile.apply_template"
NEVER = "1970-01-01T00:00:00Z"

# Beyond the largest process id of Linux, so that none of them is a real process by chance.
_PIDS = itertools.count(4_194_305)


@dataclass(slots=True)
class Nic:
    """A network interface inside an instance, with its traffic and addresses in LXD's form."""

    received: int = 0
    sent: int = 0
    addresses: list[dict[str, str]] = field(default_factory=list)
    kind: str = "broadcast"

    def rendered(self) -> dict[str, Any]:
        """Return the interface as LXD's JSON."""
        return {
            "addresses": self.addresses,
            "counters": {
                "bytes_received": self.received,
                "bytes_sent": self.sent,
                "packets_received": self.received // 100,
                "packets_sent": self.sent // 100,
                "errors_received": 0,
                "errors_sent": 0,
                "packets_dropped_outbound": 0,
                "packets_dropped_inbound": 0,
            },
            "hwaddr": "" if self.kind == LOOPBACK else "00:16:3e:00:00:01",
            "host_name": "" if self.kind == LOOPBACK else "veth00000001",
            "mtu": 65536 if self.kind == LOOPBACK else 1500,
            "state": "up",
            "type": self.kind,
        }


def address(family: str, text: str, scope: str = "global") -> dict[str, str]:
    """Return an address as LXD's JSON."""
    netmask = "24" if family == "inet" else "64"
    return {"family": family, "address": text, "netmask": netmask, "scope": scope}


def loopback() -> Nic:
    """Return the loopback interface that every instance has."""
    return Nic(
        received=1000,
        sent=1000,
        kind=LOOPBACK,
        addresses=[address("inet", "127.0.0.1", "local"), address("inet6", "::1", "local")],
    )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is set of an instance at one time."""

    name: str
    architecture: str
    config: dict[str, str]
    devices: dict[str, dict[str, str]]
    profiles: list[str]
    last_used_at: str
    created_at: str = field(default_factory=now_text)

    def rendered(self) -> dict[str, Any]:
        """Return the snapshot as LXD's JSON."""
        return {
            "name": self.name,
            "architecture": self.architecture,
            "config": dict(self.config),
            "devices": dict(self.devices),
            "expanded_config": dict(self.config),
            "expanded_devices": {**PROFILE_DEVICES, **self.devices},
            "ephemeral": False,
            "profiles": list(self.profiles),
            "created_at": self.created_at,
            "last_used_at": self.last_used_at,
            "expires_at": "0001-01-01T00:00:00Z",
            "stateful": False,
            "size": -1,
        }


@dataclass(eq=False, slots=True)
class DoubledInstance:
    """One instance. Tests set what it uses: `busy_cpus` is how many CPUs it keeps busy.

    `location` is the member of a cluster that it is on, `none` where there is no cluster. `instead`
    is what LXD's JSON says of it instead of the truth. `log` is what LXD has written about its
    start, None: no such file. `chpasswd` is the exit status of its program of this name, None where
    it has none; `passwords` are what that one has read.
    """

    name: str
    type: str = CONTAINER
    status: str = STOPPED
    description: str = ""
    architecture: str = "x86_64"
    config: dict[str, str] = field(default_factory=dict)
    devices: dict[str, dict[str, str]] = field(default_factory=dict)
    profiles: list[str] = field(default_factory=lambda: ["default"])
    ephemeral: bool = False
    busy_cpus: float = 0.0
    memory_usage: int = 64 << 20
    processes: int = 2
    disk: dict[str, dict[str, int]] = field(default_factory=dict)
    nics: dict[str, Nic] = field(default_factory=lambda: {"eth0": Nic(), "lo": loopback()})
    created_at: str = field(default_factory=now_text)
    last_used_at: str = NEVER
    pid: int = 0
    started_monotonic: float = 0.0
    log: bytes | None = b""
    project: str = DEFAULT
    location: str = "none"
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    instead: dict[str, Any] = field(default_factory=dict)
    chpasswd: int | None = 0
    passwords: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config.setdefault("volatile.uuid", str(uuid.uuid4()))
        if self.status != STOPPED:
            self._begin_run()
        elif self.last_used_at == NEVER:
            self.config.setdefault(UNUSED, "create")

    @property
    def log_file(self) -> str:
        """The name of the file in which LXD writes about its starts."""
        return "lxc.log" if self.type == CONTAINER else "qemu.log"

    def begin_run(self) -> None:
        """Run with a new init process and counters from zero."""
        self.status = RUNNING
        self._begin_run()

    def end_run(self) -> None:
        """Be stopped."""
        self.status = STOPPED
        self.config["volatile.last_state.power"] = "STOPPED"
        self.pid = 0

    @property
    def path(self) -> str:
        """Where LXD has it."""
        suffix = "" if self.project == DEFAULT else f"?project={self.project}"
        return f"/1.0/instances/{self.name}{suffix}"

    def take_snapshot(self, name: str) -> None:
        """Keep what is set now."""
        self.snapshots[name] = Snapshot(
            name,
            self.architecture,
            dict(self.config),
            dict(self.devices),
            list(self.profiles),
            self.last_used_at,
        )

    def etag(self) -> str:
        """Return a digest of what a client may write."""
        writable = [self.architecture, self.config, self.devices, self.profiles, self.description]
        return hashlib.sha256(json.dumps(writable, sort_keys=True).encode()).hexdigest()

    def rendered(self) -> dict[str, Any]:
        """Return the instance as LXD's JSON, with its profile applied."""
        return {
            "architecture": self.architecture,
            "config": dict(self.config),
            "devices": dict(self.devices),
            "ephemeral": self.ephemeral,
            "profiles": list(self.profiles),
            "stateful": False,
            "description": self.description,
            "created_at": self.created_at,
            "expanded_config": dict(self.config),
            "expanded_devices": {**PROFILE_DEVICES, **self.devices},
            "name": self.name,
            "status": self.status,
            "status_code": _CODES[self.status],
            "last_used_at": self.last_used_at,
            "location": self.location,
            "type": self.type,
            "project": self.project,
            **self.instead,
        }

    def rendered_fully(self) -> dict[str, Any]:
        """Return the instance with its state, as `recursion=2` gives it."""
        snapshots = [snapshot.rendered() for snapshot in self.snapshots.values()] or None
        return {**self.rendered(), "backups": None, "state": self.state(), "snapshots": snapshots}

    def state(self) -> dict[str, Any]:
        """Return the state of this moment as LXD's JSON."""
        return {
            "status": self.status,
            "status_code": _CODES[self.status],
            "disk": self.disk,
            "pid": self.pid,
            **self._measured(),
        }

    def _begin_run(self) -> None:
        self.pid = next(_PIDS)
        self.started_monotonic = time.monotonic()
        self.last_used_at = now_text()
        self.config.pop(UNUSED, None)
        self.config["volatile.last_state.power"] = "RUNNING"

    def _measured(self) -> dict[str, Any]:
        if self.status == STOPPED:
            return {**_NOTHING, "network": None, "processes": 0}
        return {
            "memory": _memory(self.memory_usage),
            "network": {name: nic.rendered() for name, nic in self.nics.items()},
            "processes": self.processes,
            "cpu": {"usage": self._cpu_nanoseconds()},
        }

    def _cpu_nanoseconds(self) -> int:
        return int(self.busy_cpus * (time.monotonic() - self.started_monotonic) * 1e9)


def _memory(usage: int) -> dict[str, int]:
    return {"usage": usage, "usage_peak": usage, "swap_usage": 0, "swap_usage_peak": 0}


_NOTHING: dict[str, Any] = {"memory": _memory(0), "cpu": {"usage": 0}}
