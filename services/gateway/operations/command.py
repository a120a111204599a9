"""Commands: what a caller of either API asks a host's worker to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.fleet.views import InstanceView
from shared.contracts.errors import FleetError
from shared.contracts.operations import Arguments, Command, Kind


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated caller.

    `principal` is `admin`, or `local` without a token; `address` is the client's IP address.
    `may_see_secrets` shows root passwords unmasked.
    """

    principal: str
    address: str
    may_see_secrets: bool = True
    correlation_id: str = ""


# Given a host's error, returns the same command for another host, or raises the error for the
# caller.
Alternative = Callable[[FleetError], Command]


def no_alternative(error: FleetError) -> Command:
    """Raise the error: the instance to be changed is on that host only."""
    raise error


def command_for(
    instance: InstanceView, kind: Kind, arguments: Arguments, caller: Caller
) -> Command:
    """Return a command to change an instance."""
    host, project, name, uuid = instance.target
    return Command(
        kind=kind,
        host=host,
        project=project,
        instance=name,
        uuid=uuid,
        arguments=arguments,
        principal=caller.principal,
        correlation_id=caller.correlation_id,
    )
