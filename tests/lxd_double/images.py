"""The images in the double's store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.lxd_double.errors import Refused
from tests.lxd_double.instances import CONTAINER, VIRTUAL_MACHINE


@dataclass(frozen=True, slots=True)
class DoubledImage:
    """An image for one type of instance."""

    fingerprint: str
    type: str = CONTAINER

    def rendered(self, alias: str) -> dict[str, Any]:
        """Return the image as LXD's JSON."""
        return {
            "auto_update": False,
            "properties": {
                "os": "BusyBox",
                "release": "1",
                "description": f"{alias} of the double",
            },
            "public": False,
            "expires_at": "1970-01-01T00:00:00Z",
            "profiles": ["default"],
            "aliases": [{"name": alias, "description": ""}],
            "architecture": "x86_64",
            "cached": False,
            "filename": f"{alias}.tar.gz",
            "fingerprint": self.fingerprint,
            "size": 1_000_000,
            "type": self.type,
            "created_at": "2026-11-01T00:00:00Z",
            "last_used_at": "1970-01-01T00:00:00Z",
            "uploaded_at": "2026-11-01T00:00:00Z",
        }


# By their aliases.
IMAGES = {
    "busybox": DoubledImage("7c3454002829ff9117c6ba0815351e6712a8c69933134486d88f1bbb2f89f10d"),
    "busybox-vm": DoubledImage(
        "fd387ba39048ccbf3427d3e12d0915524ee3abf46c50926777174788623d8c23", VIRTUAL_MACHINE
    ),
}


def check_image(images: dict[str, DoubledImage], source: dict[str, str], kind: str) -> None:
    """Refuse to make an instance of this type of an image that is not there, or not for it."""
    named = (one for one in images.values() if one.fingerprint == source.get("fingerprint"))
    image = images.get(source.get("alias", "")) or next(named, None)
    if image is None:
        raise Refused("Image not provided for instance creation")
    if image.type != kind:
        raise Refused(f"Requested image's type '{image.type}' doesn't match instance type '{kind}'")


def unpacked(percent: int) -> dict[str, object]:
    """Return what LXD tells of a creation that is so far."""
    return {
        "create_instance_from_image_unpack_progress": f"Unpack: {percent}% (40.96GB/s)",
        "progress": {
            "percent": str(percent),
            "speed": "40960000000",
            "stage": "create_instance_from_image_unpack",
        },
    }
