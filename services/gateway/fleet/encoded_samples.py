"""Samples as hosts send them, held encoded: a sample costs little until somebody asks for it.

Of an instance's sample only what identifies it is decoded when it comes. The rest is decoded each
time it is read; where that fails, nothing was measured.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from shared.contracts.bounds import (
    MOST_DEVICES,
    MOST_INSTANCES,
    Version,
)
from shared.contracts.codec import decode, encode
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import SAMPLED_VERSION, Sampled, SampledV1, SampleEnvelope
from shared.contracts.instances import DEFAULT_PROJECT
from shared.contracts.samples import Address, HostSample, InstanceSample
from shared.platform.token_bucket import TokenBucket

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Struct)
# Lines a second: a host may send thousands of samples that cannot be decoded.
_failures = TokenBucket(0.1, burst=1)


class SampleHead(Struct, frozen=True, array_like=True, gc=False):
    """The first fields of an `InstanceSample`, with its addresses encoded."""

    name: str
    uuid: str
    project: str = DEFAULT_PROJECT
    addresses: Raw = Raw(b"[]")


class _Addressed(Struct, frozen=True, array_like=True, gc=False):
    """The first fields of an `InstanceSample`."""

    name: str
    uuid: str
    project: str = DEFAULT_PROJECT
    addresses: Annotated[tuple[Address, ...], Meta(max_length=MOST_DEVICES)] = ()


class _Message(SampleEnvelope, frozen=True, kw_only=True):
    """A `Sampled` whose instances are encoded."""

    instances: Annotated[list[Raw], Meta(max_length=MOST_INSTANCES)]
    version: Version = SAMPLED_VERSION


@dataclass(frozen=True, slots=True)
class EncodedSample:
    """A `Sampled` whose instances are encoded: the head of each, and the whole `InstanceSample`."""

    epoch: int
    sequence: int
    at: str
    interval_s: float
    source: str
    host: HostSample
    instances: tuple[tuple[SampleHead, Raw], ...] = ()


def read_sample(body: bytes) -> EncodedSample:
    """Return the sample in the body of a message; raise UnreadableMessage."""
    message = decode(_Message, body)
    return _held(message, message.instances)


def encoded_sample(sample: Sampled | SampledV1) -> EncodedSample:
    """Return a decoded sample as it is held."""
    instances = msgspec.convert(sample.instances, list[InstanceSample], from_attributes=True)
    return _held(sample, [encoded_instance(each) for each in instances])


def encoded_instance(sample: InstanceSample) -> Raw:
    """Return an instance's sample as it is held."""
    return Raw(encode(sample))


def instance_sample(body: Raw) -> InstanceSample | None:
    """Return an instance's sample; None if it cannot be decoded."""
    return _try_decode(InstanceSample, body)


def addresses(body: Raw) -> tuple[Address, ...]:
    """Return the addresses in an instance's sample; none if they cannot be decoded."""
    found = _try_decode(_Addressed, body)
    return found.addresses if found else ()


def _held(sample: SampleEnvelope, bodies: Iterable[Raw]) -> EncodedSample:
    return EncodedSample(
        epoch=sample.epoch,
        sequence=sample.sequence,
        at=sample.at,
        interval_s=sample.interval_s,
        source=sample.source,
        host=sample.host,
        instances=tuple((decode(SampleHead, body), body) for body in bodies),
    )


def _try_decode(kind: type[T], body: Raw) -> T | None:
    try:
        return decode(kind, body)
    except UnreadableMessage as exc:
        if _failures.try_take():
            log.warning("a sample cannot be decoded", extra={"reason": exc.reason})
        return None
