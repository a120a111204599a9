"""The images of an image server's catalogue, in the simplestreams format, that a host can use.

A catalogue has an index, which names files of products; a product is an image for one architecture
with all its versions. Whatever cannot be read is skipped: a catalogue is somebody else's text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from services.lxd_worker.instances.description import os_of
from services.lxd_worker.protocols import DaemonCapabilities
from shared.contracts.hosts import (
    CONTAINER,
    MOST_ALIASES,
    MOST_SERVED,
    VIRTUAL_MACHINE,
    InstanceType,
    ServedImage,
)
from shared.contracts.sanitizer import Unfit, fit_message, parse

T = TypeVar("T")

INDEX = "streams/v1/index.json"
# Of one server; the usual ones have one or two.
MOST_FILES = 8

_ALIAS = re.compile(r"[!-~]{1,128}")
# LXD takes the name of a version for its date.
_DATE = re.compile(r"\d{8}")

# The name of a file that is a whole image, and of one that is the metadata of one. Neither LXD nor
# Incus (v6.0.4, shared/simplestreams) accepts the other's.
_LXDS = ("lxd_combined.tar.gz", "lxd.tar.xz")
_INCUS = ("incus_combined.tar.gz", "incus.tar.xz")

# For each file with a root file system: its type, and the fields of the metadata's entry that may
# hold the digest of both, without which the image cannot be used.
_ROOTS: dict[str, tuple[InstanceType, tuple[str, ...]]] = {
    "squashfs": (CONTAINER, ("combined_squashfs_sha256",)),
    "root.tar.xz": (CONTAINER, ("combined_rootxz_sha256", "combined_sha256")),
    "disk-kvm.img": (VIRTUAL_MACHINE, ("combined_disk-kvm-img_sha256",)),
    "disk1.img": (VIRTUAL_MACHINE, ("combined_disk1-img_sha256",)),
    "uefi1.img": (VIRTUAL_MACHINE, ("combined_uefi1-img_sha256",)),
}

# Architectures by Debian's names, and by those of the kernel, which LXD uses.
_KERNEL_NAMES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "armhf": "armv7l",
    "i386": "i686",
    "powerpc": "ppc",
    "ppc64el": "ppc64le",
}


class UnreadableCatalogue(Exception):
    """A file of an image server is no index, or holds no products."""


def product_files(index: bytes) -> list[str]:
    """Return the paths of the files that hold images, below the server's address.

    Raises UnreadableCatalogue.
    """
    streams = _readable(_Stream, _entries(_Index, index, "index"))
    paths = (each.path for each in streams if each.has_images and each.path)
    return list(islice(dict.fromkeys(paths), MOST_FILES))


def usable_images(products: bytes, capabilities: DaemonCapabilities) -> list[ServedImage]:
    """Return the images of one file that the host can use; raise UnreadableCatalogue."""
    readable = _readable(_Product, _entries(_Products, products, "products"))
    found = (image for product in readable if (image := _image(product, capabilities)))
    return list(islice(found, MOST_SERVED))


class _Index(Struct):
    entries: dict[str, msgspec.Raw] = field(name="index")


class _Stream(Struct):
    datatype: str = ""
    path: str = ""
    products: list[str] = []

    @property
    def has_images(self) -> bool:
        """Whether LXD would read its file."""
        return self.datatype == "image-downloads" and bool(self.products)


class _Products(Struct):
    entries: dict[str, msgspec.Raw] = field(name="products")


class _Version(Struct):
    items: dict[str, dict[str, Any]] = {}

    def types(self, incus: bool) -> set[InstanceType]:
        """Return the types of instances that its files are for."""
        whole, metadata = _INCUS if incus else _LXDS
        by_kind = {str(item.get("ftype")): item for item in self.items.values()}
        head = by_kind.get(metadata, {})
        types = {
            made
            for root, (made, digests) in _ROOTS.items()
            if root in by_kind and any(head.get(digest) for digest in digests)
        }
        return types | {CONTAINER} if by_kind.get(whole, {}).get("sha256") else types


class _Product(Struct):
    arch: str
    aliases: str
    versions: dict[str, _Version]
    os: str = ""
    release: str = ""
    release_title: str = ""
    version: str = ""
    variant: str = ""


def _decoded(kind: type[T], text: bytes) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise UnreadableCatalogue(str(exc)) from exc


def _entries(kind: type[_Index | _Products], text: bytes, name: str) -> Iterable[bytes]:
    """Return the entries of a file one by one, even if one of them is not standard JSON."""
    try:
        return map(bytes, _decoded(kind, text).entries.values())
    except UnreadableCatalogue as exc:
        return map(_json, _listed(text, name, exc).values())


def _listed(text: bytes, name: str, unreadable: UnreadableCatalogue) -> Mapping[str, object]:
    try:
        said = parse(text)
    except Unfit:
        raise unreadable from None
    listed = said.get(name) if isinstance(said, dict) else None
    if not isinstance(listed, dict):
        raise unreadable
    return listed


def _json(entry: object) -> bytes:
    return json.dumps(entry).encode()


def _readable(kind: type[T], entries: Iterable[bytes]) -> Iterable[T]:
    for entry in entries:
        try:
            yield _decoded(kind, entry)
        except UnreadableCatalogue:
            continue


def _image(product: _Product, capabilities: DaemonCapabilities) -> ServedImage | None:
    names = (alias.strip() for alias in product.aliases.split(","))
    aliases = tuple(islice(filter(_ALIAS.fullmatch, dict.fromkeys(names)), MOST_ALIASES))
    dated = [each for name, each in product.versions.items() if _DATE.match(name)]
    there = {made for each in dated for made in each.types(capabilities.incus)}
    types = tuple(made for made in capabilities.types if made in there)
    architecture = _KERNEL_NAMES.get(product.arch, product.arch)
    if architecture != capabilities.architecture or not aliases or not types:
        return None
    facts = {
        "image.os": product.os,
        "image.version": product.version,
        "image.release": product.release,
    }
    image = ServedImage(
        aliases=aliases, types=types, os=os_of(facts), description=_described(product)
    )
    return fit_message(image)[0]


def _described(product: _Product) -> str:
    variant = f"({product.variant})" if product.variant else ""
    return " ".join(filter(None, (product.os, product.release_title or product.release, variant)))
