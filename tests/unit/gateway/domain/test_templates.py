from __future__ import annotations

import pytest

from services.gateway.domain import templates
from services.gateway.domain.templates import Listed, Template
from shared.contracts.changes import ImageSource
from shared.contracts.events import HostDescribed
from shared.contracts.hosts import Image

UBUNTU = Template(
    "ubuntu20.04",
    "ubuntu20.04",
    (ImageSource(alias="focal"), ImageSource(remote="images", alias="ubuntu/20.04")),
)
BUSYBOX = Image(fingerprint="ab12cd", aliases=("busybox", "bb"), os="busybox1", description="BB")
NAMELESS = Image(fingerprint="ff00", type="virtual-machine")


def a_host(*images: Image) -> HostDescribed:
    return HostDescribed(epoch=1, at="2026-11-20T10:00:00Z", images=list(images))


def read(document: object) -> tuple[tuple[Template, ...], list[str]]:
    problems: list[str] = []
    return templates.read(document, problems.append), problems


def test_a_file_names_an_image_in_the_store_and_one_of_a_server() -> None:
    fields = {
        "os": "ubuntu20.04",
        "alias": "focal",
        "remote": "images:ubuntu/20.04",
        "description": "Focal",
    }

    found, problems = read({"ubuntu20.04": fields})

    assert problems == []
    assert found == (Template("ubuntu20.04", "ubuntu20.04", UBUNTU.sources, "container", "Focal"),)


def test_a_fingerprint_counts_before_an_alias() -> None:
    [found], _ = read({"x": {"alias": "a", "fingerprint": "ab12"}})

    assert found.sources == (ImageSource(fingerprint="ab12"), ImageSource(alias="a"))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("focal", "template 'x' is no mapping of fields"),
        ({"os": "x"}, "template 'x' names no image: it takes alias, fingerprint or remote"),
        ({"alias": "a", "image": "b"}, "template 'x' has unknown fields: image"),
        ({"alias": 20.04}, "template 'x' has fields that are no text (quote them): alias"),
        ({"remote": "focal"}, "template 'x' has remote 'focal'; it takes SERVER:ALIAS"),
        ({"remote": "images:"}, "template 'x' has remote 'images:'; it takes SERVER:ALIAS"),
        (
            {"alias": "a", "type": "vm"},
            "template 'x' has type 'vm'; it takes container or virtual-machine",
        ),
    ],
)
def test_what_is_wrong_with_a_template_is_said_and_the_others_are_kept(
    fields: object, problem: str
) -> None:
    found, problems = read({"x": fields, "good": {"alias": "a"}})

    assert problems == [problem]
    assert [template.id for template in found] == ["good"]


@pytest.mark.parametrize("document", [None, [], {}, "ubuntu20.04"])
def test_a_file_without_templates_is_complained_of(document: object) -> None:
    found, problems = read(document)

    assert found == ()
    assert problems == ["it holds no templates: it takes `id: {alias: ..., os: ...}`"]


def test_the_images_on_the_hosts_are_templates_under_each_alias_or_their_fingerprint() -> None:
    found = templates.listed([], {"h1": a_host(BUSYBOX, NAMELESS), "h2": a_host(BUSYBOX)})

    alias, other, fingerprint = found
    assert alias.template == Template(
        "busybox", "busybox1", (ImageSource(alias="busybox"),), "container", "BB"
    )
    assert (other.template.id, other.hosts) == ("bb", ["h1", "h2"])
    assert fingerprint.template.sources == (ImageSource(fingerprint="ff00"),)
    assert (fingerprint.template.id, fingerprint.hosts) == ("ff00", ["h1"])


def test_the_file_comes_first_and_hides_an_image_of_the_same_name() -> None:
    focal = Image(fingerprint="01", aliases=("focal", "ubuntu20.04"))

    found = templates.listed([UBUNTU], {"h1": a_host(focal), "h2": a_host()})

    assert [entry.template.id for entry in found] == ["ubuntu20.04", "focal"]
    assert found[0] == Listed(UBUNTU, ["h1"])


def test_a_template_of_the_file_is_held_by_the_host_that_has_its_fingerprint() -> None:
    pinned = Template("x", "", (ImageSource(fingerprint="ab12"),))

    [found, *_] = templates.listed([pinned], {"h1": a_host(NAMELESS), "h2": a_host(BUSYBOX)})

    assert found.hosts == ["h2"]


def test_the_system_of_a_source_is_the_files_else_the_images() -> None:
    host = a_host(BUSYBOX)

    assert templates.os_of(UBUNTU.sources[1], [UBUNTU], None) == "ubuntu20.04"
    assert templates.os_of(ImageSource(alias="bb"), [UBUNTU], host) == "busybox1"
    assert templates.os_of(ImageSource(alias="nix"), [UBUNTU], host) == ""


def test_one_template_is_found_in_the_file_before_the_hosts() -> None:
    hosts = [a_host(Image(fingerprint="01", aliases=("ubuntu20.04", "focal")), NAMELESS)]

    assert templates.find("ubuntu20.04", [UBUNTU], hosts) is UBUNTU
    assert templates.find("focal", [UBUNTU], hosts) == Template(
        "focal", "", (ImageSource(alias="focal"),)
    )
    assert templates.find("ff00", [], hosts) is not None
    assert templates.find("01", [], hosts) is None


def test_a_host_takes_its_own_image_before_it_fetches_one() -> None:
    focal = Image(fingerprint="01", aliases=("focal",))

    assert UBUNTU.source_on(a_host(focal), "container") == ImageSource(alias="focal")
    assert UBUNTU.source_on(a_host(), "container") == UBUNTU.sources[1]


def test_an_image_of_the_other_type_is_not_taken() -> None:
    only_stored = Template("x", "", (ImageSource(fingerprint="ff"),), "virtual-machine")

    assert only_stored.source_on(a_host(NAMELESS), "virtual-machine") == only_stored.sources[0]
    assert only_stored.source_on(a_host(NAMELESS), "container") is None
    assert only_stored.remote == ""
