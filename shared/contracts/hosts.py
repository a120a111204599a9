"""A host's resources for new instances. Sizes are bytes."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.contracts.bounds import Cores, Count, Text, Word

MOST_IMAGES = 1000
MOST_NETWORKS = 1000
MOST_SERVERS = 64
# Of one image server; the largest have a few hundred for each architecture.
MOST_SERVED = 2000
MOST_ALIASES = 8
# Of one image in the host's own store.
MOST_IMAGE_ALIASES = 64

InstanceType = Literal["container", "virtual-machine"]
CONTAINER: InstanceType = "container"
VIRTUAL_MACHINE: InstanceType = "virtual-machine"

# An image's alias that can be part of a template's id.
Alias = Annotated[str, Meta(pattern=r"^[!-~]{1,128}\Z", max_length=128)]


class Capacity(Struct, frozen=True, kw_only=True):
    """The host's resources times its overcommit: the most that all its instances may be allocated.

    What is allocated is the sum of its instances' limits.
    """

    cpu: Cores
    memory: Count
    disk: Count


class Network(Struct, frozen=True, kw_only=True):
    """A network that an instance can join; one that LXD does not manage is a bridge."""

    name: Word
    type: Word
    managed: bool


class Image(Struct, frozen=True, kw_only=True):
    """An image in the host's own store; `type` is `container` or `virtual-machine`."""

    fingerprint: Word
    aliases: Annotated[tuple[Word, ...], Meta(max_length=MOST_IMAGE_ALIASES)] = ()
    type: Word = "container"
    architecture: Word = ""
    os: Word = ""
    description: Text = ""
    size: Count = 0


class ServedImage(Struct, frozen=True, kw_only=True):
    """An image on an image server that the host can use, with the server's aliases for it.

    `types` are the instance types that it can be used for.
    """

    aliases: Annotated[tuple[Alias, ...], Meta(max_length=MOST_ALIASES)]
    types: Annotated[tuple[InstanceType, ...], Meta(min_length=1, max_length=2)]
    os: Word = ""
    description: Word = ""


# None: the server has not been read yet.
Served = Annotated[list[ServedImage], Meta(max_length=MOST_SERVED)] | None
