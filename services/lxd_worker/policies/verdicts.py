"""What a run waits for."""

from __future__ import annotations

from dataclasses import dataclass

from shared.contracts.errors import TemporaryError
from shared.contracts.policies import PolicyRun


@dataclass(frozen=True, slots=True)
class Waits:
    """For the end of an operation of its own."""

    operation_id: str


@dataclass(frozen=True, slots=True)
class Again:
    """For another try, because of a temporary error."""

    error: TemporaryError


@dataclass(frozen=True, slots=True)
class Over:
    """For nothing any more; `run` as it is then, None if nothing is known of it."""

    run: PolicyRun | None


Next = Waits | Again | Over
