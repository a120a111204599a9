"""How a host's instances are protected, as the host reports it, held encoded until it is read.

Of each instance only what lists are filtered by, and what metrics tell, is decoded when it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from msgspec import Meta, Raw, Struct

from services.gateway import units
from shared.contracts import policies
from shared.contracts.bounds import MOST_INSTANCES, Count, Moment, Name, Version, Word
from shared.contracts.codec import decode, encode
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import ProtectionReported
from shared.contracts.instances import DEFAULT_PROJECT
from shared.contracts.policies import Protection, ProtectionState

# Nothing tells: the host's worker has not reported yet, or is of an earlier release.
UNKNOWN = "unknown"
STATES = (*(str(state) for state in ProtectionState), UNKNOWN)


class InstanceProtection(NamedTuple):
    """What is held of one instance; `newest_good` is Unix time, `body` the whole `Protection`."""

    uuid: str
    state: str
    newest_good: float | None = None
    failures: int = 0
    body: Raw | None = None


NOT_REPORTED = InstanceProtection("", UNKNOWN)
UNPROTECTED = InstanceProtection("", str(ProtectionState.UNPROTECTED))


class _Head(Struct, frozen=True, gc=False):
    """The fields of a `Protection` that are decoded at once."""

    name: Name
    uuid: Word
    state: ProtectionState
    project: Word = DEFAULT_PROJECT
    newest_good: Moment = ""
    failures: Count = 0


class _Message(Struct, frozen=True, kw_only=True):
    """A `ProtectionReported` whose instances are encoded."""

    epoch: Count
    at: Word
    plan_version: Count = 0
    digest: Word = ""
    clock_trusted: bool = False
    instances: Annotated[list[Raw], Meta(max_length=MOST_INSTANCES)] = []
    version: Version = policies.VERSION


@dataclass(frozen=True, slots=True)
class EncodedProtection:
    """A `ProtectionReported` whose instances are encoded, each with its project and name."""

    epoch: int
    at: str
    plan_version: int = 0
    digest: str = ""
    clock_trusted: bool = False
    instances: tuple[tuple[tuple[str, str], InstanceProtection], ...] = ()


def read_protection(body: bytes) -> EncodedProtection:
    """Return the report in the body of a message; raise UnreadableMessage."""
    message = decode(_Message, body)
    return EncodedProtection(
        epoch=message.epoch,
        at=message.at,
        plan_version=message.plan_version,
        digest=message.digest,
        clock_trusted=message.clock_trusted,
        instances=tuple(map(_held, message.instances)),
    )


def encoded_protection(report: ProtectionReported) -> EncodedProtection:
    """Return a decoded report as it is held."""
    return read_protection(encode(report))


def protection_in(held: InstanceProtection) -> Protection | None:
    """Return the whole of what was reported; None if it cannot be decoded, or nothing was."""
    if held.body is None:
        return None
    try:
        return decode(Protection, held.body)
    except UnreadableMessage:
        return None


def _held(body: Raw) -> tuple[tuple[str, str], InstanceProtection]:
    head = decode(_Head, body)
    good = units.parse_time(head.newest_good)
    newest_good = good.timestamp() if good else None
    held = InstanceProtection(head.uuid, str(head.state), newest_good, head.failures, body)
    return (head.project, head.name), held
