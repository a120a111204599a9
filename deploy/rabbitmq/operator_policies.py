"""What a queue of the fleet may hold at the most, whoever declared it and with which arguments.

Operator policies are RabbitMQ's means for that: where a queue has a limit of its own, the lower one
holds. Of several that match a queue only the one with the highest priority counts.
"""

from __future__ import annotations

from typing import Any

MIB = 2**20
MINUTE_MS = 60_000

# Pattern of queue names, what holds for them. Behind each number: what honest use needs.
_LIMITS: dict[str, tuple[str, dict[str, int]]] = {
    # 200 calls at once (the worker's prefetch) of a few KB; nobody waits for one longer than 10 s.
    "host-calls": (
        r"^lxd_worker\..*\.calls$",
        {"max-length": 1000, "max-length-bytes": 16 * MIB, "expires": MINUTE_MS},
    ),
    # A stream's sender stops after 256 KiB (`shared.contracts.streams.WINDOW`).
    "host-streams": (
        r"^lxd_worker\..*\.in\.[0-9a-f]+$",
        {"max-length": 10_000, "max-length-bytes": MIB, "expires": MINUTE_MS},
    ),
    # Some KB each, for whoever looks into what went wrong within the week.
    "dead-letters": (
        r"^fleet\.dead-letters$",
        {"max-length": 10_000, "max-length-bytes": 64 * MIB},
    ),
    "everything-else": (r".*", {"max-length": 100_000, "max-length-bytes": 256 * MIB}),
}


def operator_policies(vhost: str) -> list[dict[str, Any]]:
    """Return the policies of a virtual host, as parameters of RabbitMQ's definitions."""
    return [
        {
            "vhost": vhost,
            "component": "operator_policy",
            "name": f"fleet-{name}",
            "value": {
                "pattern": pattern,
                "apply-to": "queues",
                "priority": 0 if pattern == ".*" else 10,
                "definition": limits,
            },
        }
        for name, (pattern, limits) in _LIMITS.items()
    ]
