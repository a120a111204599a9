from __future__ import annotations

from dataclasses import replace

import pytest

from services.gateway.vms import templates
from services.gateway.vms.templates import ListedTemplate, StoredImage, Template
from shared.contracts.hosts import CONTAINER, VIRTUAL_MACHINE, Image, ServedImage
from shared.contracts.instance_config import ImageSource
from tests.support.views import a_host_with

UBUNTU = Template(
    "ubuntu20.04",
    "ubuntu20.04",
    (ImageSource(alias="focal"), ImageSource(remote="images", alias="ubuntu/20.04")),
)
BUSYBOX = Image(fingerprint="ab12cd", aliases=("busybox", "bb"), os="busybox1", description="BB")
NAMELESS = Image(fingerprint="ff00", type="virtual-machine")


ALPINE = ServedImage(aliases=("alpine",), types=(CONTAINER,), os="alpine3.22", description="A")
MACHINE = ServedImage(aliases=("alpine",), types=(VIRTUAL_MACHINE,), os="alpine3.22")


def read(document: object) -> tuple[tuple[Template, ...], list[str]]:
    problems: list[str] = []
    return templates.parse(document, problems.append), problems


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
    found = templates.list_templates(
        [], [a_host_with(BUSYBOX, NAMELESS), a_host_with(BUSYBOX, host="h2")]
    )

    alias, other, fingerprint = found
    assert alias.template == Template(
        "busybox", "busybox1", (ImageSource(alias="busybox"),), "container", "BB"
    )
    assert (other.template.id, other.hosts) == ("bb", ["h1", "h2"])
    assert fingerprint.template.sources == (ImageSource(fingerprint="ff00"),)
    assert (fingerprint.template.id, fingerprint.hosts) == ("ff00", ["h1"])


def test_the_file_comes_first_and_hides_an_image_of_the_same_name() -> None:
    focal = Image(fingerprint="01", aliases=("focal", "ubuntu20.04"))

    found = templates.list_templates([UBUNTU], [a_host_with(focal), a_host_with(host="h2")])

    assert [entry.template.id for entry in found] == ["ubuntu20.04", "focal"]
    assert found[0] == ListedTemplate(UBUNTU, ["h1"], (StoredImage(CONTAINER, "", "", ["h1"]),))


def test_a_template_of_the_file_is_held_by_the_host_that_has_its_fingerprint() -> None:
    pinned = Template("x", "", (ImageSource(fingerprint="ab12"),))

    [found, *_] = templates.list_templates(
        [pinned], [a_host_with(NAMELESS), a_host_with(BUSYBOX, host="h2")]
    )

    assert found.hosts == ["h2"]


def test_the_system_of_a_source_is_the_files_else_the_images() -> None:
    host = a_host_with(BUSYBOX)

    assert templates.os_of(UBUNTU.sources[1], [UBUNTU], host) == "ubuntu20.04"
    assert templates.os_of(ImageSource(alias="bb"), [UBUNTU], host) == "busybox1"
    assert templates.os_of(ImageSource(alias="nix"), [UBUNTU], host) == ""


def test_one_template_is_found_in_the_file_before_the_hosts() -> None:
    hosts = [a_host_with(Image(fingerprint="01", aliases=("ubuntu20.04", "focal")), NAMELESS)]

    assert templates.find_template("ubuntu20.04", [UBUNTU], hosts) is UBUNTU
    assert templates.find_template("focal", [UBUNTU], hosts) == Template(
        "focal", "", (ImageSource(alias="focal"),)
    )
    assert templates.find_template("ff00", [], hosts) is not None
    assert templates.find_template("01", [], hosts) is None


def test_a_host_takes_its_own_image_before_it_fetches_one() -> None:
    focal = Image(fingerprint="01", aliases=("focal",))

    assert UBUNTU.source_on(a_host_with(focal), "container") == ImageSource(alias="focal")
    assert UBUNTU.source_on(a_host_with(), "container") == UBUNTU.sources[1]


def test_an_image_of_the_other_type_is_not_taken() -> None:
    only_stored = Template("x", "", (ImageSource(fingerprint="ff"),), "virtual-machine")

    assert only_stored.source_on(a_host_with(NAMELESS), "virtual-machine") == only_stored.sources[0]
    assert only_stored.source_on(a_host_with(NAMELESS), "container") is None
    assert only_stored.remote == ""


def test_what_image_servers_have_is_listed_last_each_name_once() -> None:
    shelf = {"alpine": ALPINE}
    hosts = [
        a_host_with(BUSYBOX, images=shelf),
        a_host_with(host="h2", images=shelf, lab={"alpine": MACHINE}),
        a_host_with(host="h3", images={"alpine": MACHINE}),
    ]

    *_, alpine, other = templates.list_templates([], hosts)

    assert alpine == ListedTemplate(
        Template(
            "images:alpine",
            "alpine3.22",
            (ImageSource(remote="images", alias="alpine"),),
            CONTAINER,
            "A",
            (CONTAINER, VIRTUAL_MACHINE),
        ),
        [],
    )
    assert (other.template.id, other.template.type) == ("lab:alpine", VIRTUAL_MACHINE)
    assert (other.template.remote, other.template.types) == ("lab", (VIRTUAL_MACHINE,))


def test_what_only_hosts_that_are_away_may_fetch_is_not_listed_but_still_there() -> None:
    away = replace(a_host_with(images={"alpine": ALPINE}), lxd_connected=False)

    assert [each.template.id for each in templates.list_templates([UBUNTU], [away])] == [
        "ubuntu20.04"
    ]
    assert templates.find_template("images:alpine", [UBUNTU], [away]) is not None


def test_an_image_servers_image_is_found_where_a_host_may_use_the_server() -> None:
    hosts = [a_host_with(host="h1"), a_host_with(host="h2", images={"alpine": ALPINE})]

    found = templates.find_template("images:alpine", [], hosts)

    assert found is not None
    assert (found.os, found.type, found.served) == ("alpine3.22", CONTAINER, (CONTAINER,))
    assert templates.os_of(found.sources[0], [], hosts[1]) == "alpine3.22"
    assert templates.os_of(found.sources[0], [], hosts[0]) == ""
    for wrong in ("images:debian", "lab:alpine", "images:", "alpine", ":alpine"):
        assert templates.find_template(wrong, [], hosts) is None


def test_of_a_server_that_was_not_read_any_name_may_be_asked_for() -> None:
    host = a_host_with(images=None)

    found = templates.find_template("images:alpine", [], [host])

    assert found is not None
    assert (found.types, found.type) == ((CONTAINER, VIRTUAL_MACHINE), CONTAINER)
    assert found.source_on(host, VIRTUAL_MACHINE) == found.sources[0]
    assert templates.list_templates([], [host]) == []
    assert templates.find_template("images:", [], [host]) is None


def test_an_image_of_a_server_is_had_where_the_server_may_be_used_and_has_it() -> None:
    having = a_host_with(images={"alpine": ALPINE})
    found = templates.find_template("images:alpine", [], [having])
    assert found is not None

    assert found.source_on(having, CONTAINER) == found.sources[0]
    assert found.source_on(having, VIRTUAL_MACHINE) is None
    assert found.source_on(a_host_with(images={}), CONTAINER) is None
    assert found.source_on(a_host_with(lab={"alpine": ALPINE}), CONTAINER) is None


def test_a_template_of_the_file_is_fetched_where_its_server_may_be_used() -> None:
    assert UBUNTU.source_on(a_host_with(images={"alpine": ALPINE}), CONTAINER) == UBUNTU.sources[1]
    assert UBUNTU.source_on(a_host_with(lab=None), CONTAINER) is None


def test_in_place_of_a_wrong_name_the_nearest_come_first_and_those_of_servers_last() -> None:
    shelf = {f"distribution{number}/cloud": ALPINE for number in range(300)}
    stored = [Image(fingerprint=f"f{number}", aliases=(f"own{number}",)) for number in range(60)]
    there = templates.list_templates([UBUNTU], [a_host_with(*stored, images=shelf)])

    told = templates.suggest("images:distribution7/clud", there)

    assert told[0] == "images:distribution7/cloud"
    assert told.index("ubuntu20.04") < told.index("own0")
    assert templates.suggest("nix", there)[:2] == ["ubuntu20.04", "own0"]
    assert templates.suggest("nix", there[:3]) == ["ubuntu20.04", "own0", "own1"]
