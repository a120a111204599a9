"""Where an image comes from: the host's own store, or a server that the operator allows."""

from __future__ import annotations

from collections.abc import Mapping

from shared.contracts.changes import ImageSource
from shared.contracts.errors import ImageNotFound, InvalidInput
from shared.contracts.hosts import Image

# Name and address of each image server that the operator allows.
Remotes = Mapping[str, str]


def remote_source(wanted: ImageSource, remotes: Remotes) -> dict[str, str]:
    """Return LXD's source for an image of a server; only LXD finds out whether it exists.

    Raises ImageNotFound for a server that the operator does not allow.
    """
    if wanted.remote not in remotes:
        raise ImageNotFound(image_name(wanted))
    what = {"fingerprint": wanted.fingerprint} if wanted.fingerprint else {"alias": wanted.alias}
    return {
        "type": "image",
        "mode": "pull",
        "protocol": "simplestreams",
        "server": remotes[wanted.remote],
        **what,
    }


def local_source(wanted: ImageSource, kind: str, image: Image | None) -> dict[str, str]:
    """Return LXD's source for an image of the host's own store.

    Raises ImageNotFound if there is none, InvalidInput if it is for another type of instance.
    """
    if image is None:
        raise ImageNotFound(image_name(wanted))
    if image.type != kind:
        raise InvalidInput("type", f"the image is for a {image.type}")
    return {"type": "image", "fingerprint": image.fingerprint}


def image_name(wanted: ImageSource) -> str:
    """Return the image as people write it: `images:debian/12`, or its name alone."""
    name = wanted.alias or wanted.fingerprint
    return f"{wanted.remote}:{name}" if wanted.remote else name
