"""Limit the fleet's queues, whoever declares them with whatever arguments.

RabbitMQ has operator policies for this: if a queue has a limit of its own, the lower one applies.
Of several policies that match a queue only the one with the highest priority applies.
"""

from __future__ import annotations

from typing import Any

MIB = 2**20
MINUTE_MS = 60_000

# Pattern of queue names, and their limits. The comments say what legitimate use needs.
_LIMITS: dict[str, tuple[str, dict[str, int]]] = {
    # 200 calls at once (the worker's prefetch) of a few kB; callers wait at most 10 s.
    "host-calls": (
        r"^lxd_worker\..*\.calls$",
        {"max-length": 1000, "max-length-bytes": 16 * MIB, "expires": MINUTE_MS},
    ),
    # A stream's sender stops after 256 KiB (`shared.contracts.streams.WINDOW`).
    "host-streams": (
        r"^lxd_worker\..*\.in\.[0-9a-f]+$",
        {"max-length": 10_000, "max-length-bytes": MIB, "expires": MINUTE_MS},
    ),
    # A host's reports, changes of runs and answers; its reports are at most 8 MiB each.
    "snapshots-hosts": (
        r"^snapshots\.[0-9a-f]{32}\.",
        {"max-length": 5000, "max-length-bytes": 32 * MIB},
    ),
    # Policies of a few kB; callers wait at most 10 s.
    "snapshots-calls": (
        r"^snapshots\.calls$",
        {"max-length": 1000, "max-length-bytes": 32 * MIB, "message-ttl": MINUTE_MS},
    ),
    # A few kB each, kept for a week to investigate failures.
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
