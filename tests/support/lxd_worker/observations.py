"""Instances as they look."""

from __future__ import annotations

import msgspec

from services.lxd_worker.instances.observation import InitProcess, Observation
from shared.contracts.instances import Instance


def observation(
    status: str = "Running", *, uuid: str = "u-web", pid: int = 100, complete: bool = True
) -> Observation:
    """Return a look at an instance; a stopped one has no process."""
    return Observation(
        status=status,
        uuid=uuid,
        created_at="2026-11-01T00:00:00Z",
        last_used_at="2026-11-02T00:00:00Z",
        init=None if status == "Stopped" else InitProcess(pid, 1),
        complete=complete,
    )


def described(name: str, look: Observation, revision: int = 0) -> Instance:
    """Return an instance that looks like this."""
    return Instance(
        name=name,
        uuid=look.uuid,
        type="container",
        status=look.status,
        architecture="x86_64",
        created_at=look.created_at,
        revision=revision,
        **msgspec.structs.asdict(look.config),
    )
