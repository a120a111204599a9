"""Samples as JSON objects, which gateways and samplers of an earlier release read and send.

Their fields are those of the present ones.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from shared.contracts.bounds import MOST_DEVICES
from shared.contracts.samples import (
    Address,
    BlockDevice,
    InstanceSample,
    Interface,
    MemoryParts,
)


class AddressV1(Address, frozen=True, kw_only=True, array_like=False, omit_defaults=True, gc=False):
    """An `Address`."""


class MemoryPartsV1(MemoryParts, frozen=True, kw_only=True, array_like=False, gc=False):
    """The `MemoryParts`."""


class InterfaceV1(Interface, frozen=True, kw_only=True, array_like=False, gc=False):
    """An `Interface`."""


class BlockDeviceV1(BlockDevice, frozen=True, kw_only=True, array_like=False, gc=False):
    """A `BlockDevice`."""


class InstanceSampleV1(InstanceSample, frozen=True, kw_only=True, array_like=False, gc=False):
    """An `InstanceSample`."""

    addresses: Annotated[tuple[AddressV1, ...], Meta(max_length=MOST_DEVICES)] = ()
    memory: MemoryPartsV1 | None = None
    interfaces: Annotated[tuple[InterfaceV1, ...], Meta(max_length=MOST_DEVICES)] | None = None
    block_devices: Annotated[tuple[BlockDeviceV1, ...], Meta(max_length=MOST_DEVICES)] | None = None
