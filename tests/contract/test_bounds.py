"""What no message may hold, however it is sent: one host's numbers and texts reach every reader."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from shared.contracts.bounds import MOST_INSTANCES
from shared.contracts.codec import decode, from_wire
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import (
    Heartbeat,
    ImageServersRead,
    Inventory,
    OperationChanged,
    Sampled,
)

GOLDEN = Path(__file__).parent / "golden" / "1.0"


def changed(kind: type[msgspec.Struct], place: str, value: object) -> dict[str, object]:
    """Return the golden message of a kind with another value at `place`."""
    message: dict[str, object] = json.loads((GOLDEN / f"{kind.__name__}.json").read_text())
    part, (*way, last) = message, place.split(".")
    for step in way:
        part = part[int(step) if step.isdecimal() else step]  # type: ignore[assignment,index,call-overload]
    part[last] = value
    return message


@pytest.mark.parametrize(
    ("kind", "place", "value"),
    [
        (Sampled, "host.memory_total", 10**400),
        (Sampled, "host.memory_total", 2**63),
        (Sampled, "host.memory_used", -1),
        (Sampled, "host.cpu_cores", 2**40),
        (Sampled, "host.cpu_percent", 1e308),
        (Sampled, "host.cpu_percent", -0.1),
        (Sampled, "instances.0.network_rx", 2**64),
        (Sampled, "instances.0.cpu_percent", 101),
        (Heartbeat, "epoch", 2**63),
        (Heartbeat, "server_name", "x" * 256),
        (Inventory, "sequence", -1),
        (Inventory, "instances.0.name", ""),
        (Inventory, "instances.0.name", "x" * 64),
        (Inventory, "instances.0.name", "web\n"),
        (Inventory, "instances.0.name", "a\x00b"),
        (Inventory, "instances.0.memory_limit", 2**70),
        (Inventory, "instances.0.uuid", "x" * 256),
        (ImageServersRead, "servers.images.0.types", []),
        (ImageServersRead, "servers.images.0.types", ["vm"]),
        (ImageServersRead, "servers.images.0.aliases", ["a\n"]),
        (ImageServersRead, "servers.images.0.aliases", ["x" * 129]),
        (ImageServersRead, "servers.images.0.aliases", ["x"] * 9),
        (ImageServersRead, "servers.images.0.description", "x" * 256),
        (OperationChanged, "operation.progress", 2**70),
        (OperationChanged, "operation.after_epoch", -1),
        (OperationChanged, "operation.operation_id", "x" * 256),
        (OperationChanged, "operation.created_at", "zzzz"),
        (OperationChanged, "operation.finished_at", "2026-11-20T10:00:00"),
    ],
)
def test_a_value_out_of_bounds_makes_a_message_unreadable(
    kind: type[msgspec.Struct], place: str, value: object
) -> None:
    message = changed(kind, place, value)

    with pytest.raises(UnreadableMessage):
        decode(kind, json.dumps(message).encode())
    with pytest.raises(UnreadableMessage):
        from_wire(kind, message)


def test_an_inventory_has_an_end() -> None:
    one = json.loads((GOLDEN / "Inventory.json").read_text())["instances"][0]
    message = changed(Inventory, "instances", [one] * (MOST_INSTANCES + 1))

    with pytest.raises(UnreadableMessage):
        from_wire(Inventory, message)
