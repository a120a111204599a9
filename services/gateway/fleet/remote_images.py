"""What the image servers have that hosts may fetch images from, as each host tells it.

Every host speaks for itself alone, so that none can say what another one may have.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from shared.contracts.changes import ImageSource
from shared.contracts.events import ImageServersRead
from shared.contracts.hosts import Served, ServedImage

# The images of one server by each of their aliases; None: the host could not read it yet.
ServerImages = Mapping[str, ServedImage] | None
# By the names that the host's operator gave to the servers.
RemoteImages = Mapping[str, ServerImages]


def index_by_alias(read: ImageServersRead) -> RemoteImages:
    """Return what a host told, for looking it up."""
    return {server: _shelf(images) for server, images in read.servers.items()}


def may_fetch(on: RemoteImages | None, source: ImageSource, kind: str) -> bool:
    """Return whether a host may fetch an image, and as far as is known finds it there.

    An older worker does not say which servers its host may use.
    """
    if not may_use_server(on, source.remote):
        return False
    shelf = (on or {}).get(source.remote)
    return shelf is None or (source.alias in shelf and kind in shelf[source.alias].types)


def may_use_server(on: RemoteImages | None, server: str) -> bool:
    """Return whether a host may fetch images from a server, as far as is known."""
    return on is None or server in on


def merge_types(first: ServedImage | None, other: ServedImage) -> ServedImage:
    """Return two images of one name as one that can be made into whatever each of them can."""
    if first is None:
        return other
    types = tuple(sorted({*first.types, *other.types}))
    return first if types == first.types else replace(first, types=types)


def _shelf(images: Served) -> ServerImages:
    if images is None:
        return None
    found: dict[str, ServedImage] = {}
    for image in images:
        for alias in image.aliases:
            found[alias] = merge_types(found.get(alias), image)
    return found
