"""What the sampler reads of LXD's answers; all else in them is ignored.

The fields have LXD's names. Whatever LXD may leave out or answer with null has a default.
"""

from __future__ import annotations

from msgspec import Struct

from shared.contracts.instances import DEFAULT_PROJECT


class Cpu(Struct, frozen=True):
    """`usage` is CPU time in nanoseconds since the instance was started."""

    usage: int = 0


class Memory(Struct, frozen=True):
    """`usage` is in bytes and counts what LXD counts, the page cache included."""

    usage: int = 0


class Disk(Struct, frozen=True):
    """One disk device; `total` is the quota, 0 without one."""

    usage: int = -1
    total: int = 0


class NetworkAddress(Struct, frozen=True):
    """One address of an interface."""

    family: str
    address: str
    scope: str


class Counters(Struct, frozen=True):
    """Bytes and packets since the start, seen from inside; old LXDs tell no more than bytes."""

    bytes_received: int | None = None
    bytes_sent: int | None = None
    packets_received: int | None = None
    packets_sent: int | None = None
    errors_received: int | None = None
    errors_sent: int | None = None
    packets_dropped_inbound: int | None = None
    packets_dropped_outbound: int | None = None


class Interface(Struct, frozen=True):
    """One interface inside the instance; `type` is `loopback` for `lo`.

    `host_name` is its end on the host, empty where it has none.
    """

    type: str = ""
    addresses: tuple[NetworkAddress, ...] | None = ()
    counters: Counters = Counters()
    hwaddr: str = ""
    host_name: str = ""


class Nic(Struct, frozen=True):
    """A network device: its name inside, and its end on the host; empty text: it has none.

    A virtual machine's guest names its interfaces as it likes; `hwaddr` they have in common.
    """

    device: str
    host_end: str
    hwaddr: str = ""


class InstanceState(Struct, frozen=True):
    """The state of one moment.

    `pid` is the init's (a virtual machine's own) process on the host, 0 when stopped. `processes`
    is -1 where nobody inside can count them.
    """

    pid: int = 0
    processes: int = -1
    cpu: Cpu = Cpu()
    memory: Memory = Memory()
    disk: dict[str, Disk] | None = None
    network: dict[str, Interface] | None = None


class DescribedInstance(Struct, frozen=True):
    """One instance with its state, as `recursion=2` lists it.

    `unreadable` is no word of LXD's: so many of its values were none of what they should be.
    """

    name: str
    type: str
    project: str = DEFAULT_PROJECT
    location: str = ""
    state: InstanceState | None = None
    expanded_config: dict[str, str] = {}
    expanded_devices: dict[str, dict[str, str]] = {}
    unreadable: int = 0

    @property
    def uuid(self) -> str:
        """What tells the instance from a namesake; empty where LXD gave it none."""
        return self.expanded_config.get("volatile.uuid", "")

    @property
    def nics(self) -> tuple[Nic, ...]:
        """The network devices in this run."""
        return tuple(
            Nic(
                device.get("name") or self.expanded_config.get(f"volatile.{name}.name", name),
                self.expanded_config.get(f"volatile.{name}.host_name", ""),
                device.get("hwaddr") or self.expanded_config.get(f"volatile.{name}.hwaddr", ""),
            )
            for name, device in self.expanded_devices.items()
            if device.get("type") == "nic"
        )

    @property
    def root_disk(self) -> tuple[str, dict[str, str]]:
        """The name and settings of the device that holds the root file system."""
        for name, device in self.expanded_devices.items():
            if device.get("type") == "disk" and device.get("path") == "/":
                return name, device
        return "", {}


class Space(Struct, frozen=True):
    """How much a storage pool or a file system holds, in bytes."""

    used: int
    total: int
