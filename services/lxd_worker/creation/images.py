"""Where an image comes from: the host's own store, or a server that the operator named."""

from __future__ import annotations

from collections.abc import Mapping

from shared.contracts.changes import ImageSource
from shared.contracts.errors import ImageNotFound, InvalidInput
from shared.contracts.hosts import Image

# Name and address of each image server that the operator allows.
Remotes = Mapping[str, str]


def remote_source(wanted: ImageSource, remotes: Remotes) -> dict[str, str]:
    """Return an image of a server's, in LXD's words; whether it is there only LXD can tell.

    Raises ImageNotFound for a server that the operator does not allow.
    """
    if wanted.remote not in remotes:
        raise ImageNotFound(name_of(wanted))
    what = {"fingerprint": wanted.fingerprint} if wanted.fingerprint else {"alias": wanted.alias}
    return {
        "type": "image",
        "mode": "pull",
        "protocol": "simplestreams",
        "server": remotes[wanted.remote],
        **what,
    }


def local_source(wanted: ImageSource, kind: str, image: Image | None) -> dict[str, str]:
    """Return an image of the host's own store, in LXD's words.

    Raises ImageNotFound where there is none, InvalidInput where it is for the other type.
    """
    if image is None:
        raise ImageNotFound(name_of(wanted))
    if image.type != kind:
        raise InvalidInput("type", f"the image is for a {image.type}")
    return {"type": "image", "fingerprint": image.fingerprint}


def name_of(wanted: ImageSource) -> str:
    """Return the image as people write it: `images:debian/12`, or its name alone."""
    name = wanted.alias or wanted.fingerprint
    return f"{wanted.remote}:{name}" if wanted.remote else name
