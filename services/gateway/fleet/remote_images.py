"""The images of the image servers that a host may use, as that host reports them.

Each host counts for itself only, so that none can affect what another one may fetch.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from shared.contracts.events import ImageServersRead
from shared.contracts.hosts import Served, ServedImage
from shared.contracts.instance_config import ImageSource

# The images of one server by each of their aliases; None: the host could not read it yet.
ServerImages = Mapping[str, ServedImage] | None
# By the names that the host's operator gave to the servers.
RemoteImages = Mapping[str, ServerImages]


def index_by_alias(event: ImageServersRead) -> RemoteImages:
    """Return the images of a host's report, indexed by server and alias."""
    return {server: _by_alias(images) for server, images in event.servers.items()}


def may_fetch(images: RemoteImages | None, source: ImageSource, kind: str) -> bool:
    """Return whether a host may fetch an image, as far as it has reported.

    An older worker does not report which servers its host may use.
    """
    if not may_use_server(images, source.remote):
        return False
    on_server = (images or {}).get(source.remote)
    return on_server is None or (
        source.alias in on_server and kind in on_server[source.alias].types
    )


def may_use_server(images: RemoteImages | None, server: str) -> bool:
    """Return whether a host may use an image server, as far as it has reported."""
    return images is None or server in images


def merge_types(first: ServedImage | None, other: ServedImage) -> ServedImage:
    """Return two images of one name as one of the types of both."""
    if first is None:
        return other
    types = tuple(sorted({*first.types, *other.types}))
    return first if types == first.types else replace(first, types=types)


def _by_alias(images: Served) -> ServerImages:
    if images is None:
        return None
    found: dict[str, ServedImage] = {}
    for image in images:
        for alias in image.aliases:
            found[alias] = merge_types(found.get(alias), image)
    return found
