"""What a caller wants done, on its way from either API to a host's worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.fleet.views import InstanceView
from shared.contracts.errors import FleetError
from shared.contracts.operations import Arguments, Command, Kind


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and from where.

    `principal` is `admin`, or `local` without a token; `address` is the peer's IP address.
    `may_see_secrets` lifts the mask from root passwords.
    """

    principal: str
    address: str
    may_see_secrets: bool = True
    correlation_id: str = ""


# Given a host's refusal, returns the same command for another host, or raises what the caller is to
# be answered.
Alternative = Callable[[FleetError], Command]


def no_alternative(refusal: FleetError) -> Command:
    """Raise the refusal: what is to be changed is on that host and on no other."""
    raise refusal


def command_for(
    instance: InstanceView, kind: Kind, arguments: Arguments, caller: Caller
) -> Command:
    """Return the command of a caller to change an instance of the fleet view."""
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
