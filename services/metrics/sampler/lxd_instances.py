"""Decode what LXD tells of one instance, as much of it as can be read."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.lxd.decoding import UNREADABLE, decode_in_part
from shared.lxd.errors import UnreadableAnswer
from shared.lxd.models import InstanceState, LxdInstance

# What LXD tells of one instance in more bytes is read without its network, which is what grows:
# root inside can add addresses without end. These are ten thousand.
MOST_INSTANCE_BYTES = 1 << 20


class Nic(Struct, frozen=True):
    """A network device: its name inside, and its end on the host; empty text: it has none.

    A virtual machine's guest names its interfaces as it likes; `hwaddr` they have in common.
    """

    device: str
    host_end: str
    hwaddr: str = ""


class InstanceWithState(LxdInstance, frozen=True, kw_only=True):
    """One instance with its state, as `recursion=2` lists it.

    `unreadable` is no word of LXD's: so many of its values were none of what they should be.
    """

    type: str
    state: InstanceState | None = None
    unreadable: int = 0

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


_NOTHING = InstanceWithState(name="", type="", unreadable=1)

_decoder = msgspec.json.Decoder(InstanceWithState)


def instance_in(entry: bytes | msgspec.Raw) -> InstanceWithState:
    """Return the instance with as much as can be read of it; its name is empty if nothing can."""
    try:
        if len(memoryview(entry)) > MOST_INSTANCE_BYTES:
            return _large(entry)
        return _decoder.decode(entry)
    except UNREADABLE:
        return _in_part(bytes(entry))


def _large(entry: bytes | msgspec.Raw) -> InstanceWithState:
    parts = msgspec.json.decode(entry, type=dict[str, msgspec.Raw])
    state = msgspec.json.decode(parts.get("state", b"null"), type=dict[str, msgspec.Raw] | None)
    if not state or "network" not in state:
        return _decoder.decode(entry)
    del state["network"]
    parts["state"] = msgspec.Raw(msgspec.json.encode(state))
    described = instance_in(msgspec.json.encode(parts))
    return replace(described, unreadable=described.unreadable + 1)


def _in_part(entry: bytes) -> InstanceWithState:
    try:
        described, left_out, _ = decode_in_part(entry, InstanceWithState, MOST_INSTANCE_BYTES)
    except UnreadableAnswer:
        return _NOTHING
    return replace(described, unreadable=len(left_out))
