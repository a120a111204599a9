"""What a host has to offer to a new instance. Sizes are bytes."""

from __future__ import annotations

from msgspec import Struct

from shared.contracts.bounds import Cores, Count, Text, Word

MOST_IMAGES = 1000
MOST_NETWORKS = 1000


class Capacity(Struct, frozen=True, kw_only=True):
    """How much the host's instances may be promised in all: what it has, times its overcommit.

    What is promised already is the sum of the limits of its instances.
    """

    cpu: Cores
    memory: Count
    disk: Count


class Network(Struct, frozen=True, kw_only=True):
    """A network that an instance can be joined to; one that LXD does not manage is a bridge."""

    name: Word
    type: Word
    managed: bool


class Image(Struct, frozen=True, kw_only=True):
    """An image in the host's own store; `type` is `container` or `virtual-machine`."""

    fingerprint: Word
    aliases: tuple[str, ...] = ()
    type: Word = "container"
    architecture: Word = ""
    os: Word = ""
    description: Text = ""
    size: Count = 0
