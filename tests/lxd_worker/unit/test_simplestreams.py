"""What of an image server's catalogue a host can use."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.lxd_worker.protocols import DaemonCapabilities
from services.lxd_worker.reports.simplestreams import (
    MOST_FILES,
    UnreadableCatalogue,
    product_files,
    usable_images,
)
from shared.contracts.codec import decode, encode
from shared.contracts.hosts import MOST_ALIASES, MOST_SERVED, ServedImage

STREAM = json.dumps({"datatype": "image-downloads", "path": "a.json", "products": ["p"]})
BOTH = DaemonCapabilities("x86_64", ("container", "virtual-machine"))
HEAD = {
    "ftype": "lxd.tar.xz",
    "path": "a/lxd.tar.xz",
    "sha256": "aa",
    "combined_squashfs_sha256": "bb",
    "combined_disk-kvm-img_sha256": "cc",
}
FILES = (HEAD, {"ftype": "squashfs"}, {"ftype": "disk-kvm.img"}, {"ftype": "squashfs.vcdiff"})
ALPINE = {
    "aliases": "alpine/3.22/cloud,alpine/3.22",
    "arch": "amd64",
    "os": "Alpine",
    "release": "3.22",
    "release_title": "3.22",
    "variant": "cloud",
}


def version(*items: dict[str, Any], name: str = "20261120_13:00") -> dict[str, Any]:
    return {"versions": {name: {"items": {str(n): item for n, item in enumerate(items)}}}}


def products(*entries: object) -> bytes:
    return json.dumps({"products": {str(n): entry for n, entry in enumerate(entries)}}).encode()


def types(
    *items: dict[str, Any], runs: DaemonCapabilities = BOTH, **changes: Any
) -> tuple[str, ...]:
    """Return the types of the only image, none where there is no image."""
    found = usable_images(products(ALPINE | version(*items) | changes), runs)
    return found[0].types if found else ()


def test_an_image_is_told_with_its_names_its_types_and_what_it_is() -> None:
    assert usable_images(products(ALPINE | version(*FILES)), BOTH) == [
        ServedImage(
            aliases=("alpine/3.22/cloud", "alpine/3.22"),
            types=("container", "virtual-machine"),
            os="alpine3.22",
            description="Alpine 3.22 (cloud)",
        )
    ]


@pytest.mark.parametrize(
    ("items", "made"),
    [
        ([HEAD], ()),
        ([HEAD, {"ftype": "squashfs"}], ("container",)),
        ([HEAD, {"ftype": "disk-kvm.img"}], ("virtual-machine",)),
        ([HEAD, {"ftype": "disk1.img"}], ()),  # its digest is missing
        ([HEAD | {"combined_disk1-img_sha256": "dd"}, {"ftype": "disk1.img"}], BOTH.types[1:]),
        ([HEAD | {"combined_uefi1-img_sha256": "dd"}, {"ftype": "uefi1.img"}], BOTH.types[1:]),
        ([HEAD | {"combined_sha256": "dd"}, {"ftype": "root.tar.xz"}], ("container",)),
        ([HEAD | {"combined_rootxz_sha256": "dd"}, {"ftype": "root.tar.xz"}], ("container",)),
        ([{"ftype": "squashfs"}], ()),
        ([{"ftype": "lxd_combined.tar.gz", "sha256": "aa"}], ("container",)),
        ([{"ftype": "lxd_combined.tar.gz"}], ()),
        ([{"ftype": ["squashfs"]}], ()),
    ],
)
def test_what_an_image_can_be_made_into_is_in_its_files(
    items: list[dict[str, Any]], made: tuple[str, ...]
) -> None:
    assert types(*items) == made


def test_only_what_the_host_can_run_is_told() -> None:
    containers = DaemonCapabilities("x86_64", ("container",))

    assert types(*FILES, runs=containers) == ("container",)
    assert types(*FILES, arch="arm64") == ()
    assert types(*FILES, arch="arm64", runs=DaemonCapabilities("aarch64", BOTH.types)) == BOTH.types
    assert (
        types(*FILES, arch="riscv64", runs=DaemonCapabilities("riscv64", BOTH.types)) == BOTH.types
    )


def test_incus_takes_files_of_its_own() -> None:
    head = HEAD | {"ftype": "incus.tar.xz"}
    incus = DaemonCapabilities("x86_64", BOTH.types, incus=True)

    assert types(head, {"ftype": "squashfs"}) == ()
    assert types(head, {"ftype": "squashfs"}, runs=incus) == ("container",)
    assert types(*FILES, runs=incus) == ()
    assert types(*FILES, head, runs=incus) == BOTH.types
    assert types({"ftype": "incus_combined.tar.gz", "sha256": "a"}, runs=incus) == ("container",)
    assert types({"ftype": "lxd_combined.tar.gz", "sha256": "a"}, runs=incus) == ()


@pytest.mark.parametrize(
    "odd",
    [
        7,
        None,
        {},
        ALPINE,
        ALPINE | {"versions": 3},
        ALPINE | version(*FILES, name="latest"),
        ALPINE | version(*FILES) | {"aliases": ""},
        ALPINE | version(*FILES) | {"aliases": None},
        ALPINE | version(*FILES) | {"aliases": "with space,tab\t1,new\nline," + "x" * 129},
        ALPINE | version(*FILES) | {"arch": 64},
        ALPINE | {"versions": {"20261120": {"items": {"a": 1}}}},
    ],
)
def test_an_odd_entry_is_left_out_and_the_others_are_told(odd: object) -> None:
    found = usable_images(products(odd, ALPINE | version(*FILES)), BOTH)

    assert len(found) == 1


def test_what_is_told_is_bounded() -> None:
    aliases = ",".join(f"a{number}" for number in range(100))
    long = ALPINE | version(*FILES) | {"aliases": aliases, "os": "o" * 999, "variant": "v" * 999}

    found = usable_images(products(*[long] * (MOST_SERVED + 1)), BOTH)

    assert len(found) == MOST_SERVED
    assert (len(found[0].aliases), len(found[0].os)) == (MOST_ALIASES, 255)
    assert len(found[0].description) == 255


def test_the_index_names_the_files_of_images() -> None:
    path = "streams/v1/images.json"
    images = {"datatype": "image-downloads", "path": path, "products": ["alpine"]}
    entries = {
        "images": images,
        "again": images,
        "ids": {"datatype": "image-ids", "path": "streams/v1/ids.json"},
        "pathless": images | {"path": ""},
        "empty": images | {"path": "streams/v1/none.json", "products": []},
        "odd": 3,
    }
    many = {str(number): images | {"path": str(number)} for number in range(20)}

    assert product_files(json.dumps({"index": entries}).encode()) == [path]
    assert len(product_files(json.dumps({"index": many}).encode())) == MOST_FILES


@pytest.mark.parametrize(
    "text",
    [b"", b"<html>", b"\xff\xfe", b"[]", b'{"index": []}', b"[" * 10**6, b'{"a": ' * 10**6],
)
def test_rubbish_is_no_catalogue(text: bytes) -> None:
    with pytest.raises(UnreadableCatalogue):
        product_files(text)
    with pytest.raises(UnreadableCatalogue):
        usable_images(text, BOTH)


@pytest.mark.attack
@pytest.mark.parametrize(
    "bad",
    [
        '{"arch": "\\ud800"}',
        '{"arch": NaN}',
        '{"arch": "amd64", "aliases": 5}',
        "[]",
        "9" * 5000,
        json.dumps(ALPINE | version(*FILES) | {"versions": {"20261120": {"items": {"a": 1}}}}),
    ],
)
def test_a_product_that_cannot_be_read_hides_no_other(bad: str) -> None:
    good = json.dumps(ALPINE | version(*FILES))
    file = f'{{"products": {{"a": {bad}, "b": {good}}}}}'.encode()
    files = f'{{"index": {{"a": {bad}, "b": {STREAM}}}}}'.encode()

    assert [one.os for one in usable_images(file, BOTH)] == ["alpine3.22"]
    assert product_files(files) == ["a.json"]


@pytest.mark.attack
def test_what_a_catalogue_says_of_an_image_fits_a_message() -> None:
    (image,) = usable_images(products(ALPINE | version(*FILES) | {"os": "A\x00" + "x" * 300}), BOTH)

    assert decode(ServedImage, encode(image)) == image
    assert (image.os[:2], len(image.os), len(image.description)) == ("a\ufffd", 255, 255)
