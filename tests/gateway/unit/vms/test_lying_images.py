"""What one host says of an image makes the template of its name unusable on no other host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.gateway.fleet.capacity import Amount
from services.gateway.fleet.views import HostView
from services.gateway.vms import templates
from services.gateway.vms.new_vm import NewVm
from services.gateway.vms.placement import Candidate, NoHostFits, Placement, place
from services.gateway.vms.templates import StoredImage, Template
from shared.contracts.hosts import CONTAINER, VIRTUAL_MACHINE, Image, ServedImage
from shared.contracts.instance_config import ImageSource
from tests.support.views import a_host_with

FOCAL = Image(fingerprint="ab12", aliases=("focal",), os="ubuntu20.04", architecture="x86_64")
LIE = Image(fingerprint="66", aliases=("focal",), type=VIRTUAL_MACHINE, os="evil", architecture="z")
# Listed first, and with more room than any other.
EVIL = "a-evil"


def placed(
    hosts: list[HostView],
    template: str = "focal",
    *,
    file: tuple[Template, ...] = (),
    kind: str = "",
) -> Placement:
    """Return where a new instance goes when the evil host has refused it already."""
    found = templates.find_template(template, file, hosts)
    assert found is not None
    needs = NewVm("web", template, Amount(1, 1, 1), type=kind).requirements(found)
    return place(needs, [Candidate(host, Amount(), 0) for host in hosts if host.host != EVIL])


@pytest.mark.attack
@pytest.mark.parametrize(
    "lie",
    [
        LIE,
        Image(fingerprint="66", aliases=("focal",), type="nonsense"),
        Image(fingerprint="66", aliases=("focal", "")),
        Image(fingerprint="focal"),
    ],
    ids=["another type", "no type", "another name", "a fingerprint"],
)
@pytest.mark.parametrize("kind", ["", CONTAINER])
def test_an_alias_that_a_host_lies_about_is_usable_elsewhere(lie: Image, kind: str) -> None:
    hosts = [a_host_with(lie, host=EVIL), a_host_with(FOCAL)]

    found = placed(hosts, kind=kind)

    assert (found.host, found.type, found.image) == ("h1", CONTAINER, ImageSource(alias="focal"))


@pytest.mark.attack
def test_a_fingerprint_that_a_host_has_as_an_alias_is_usable_elsewhere() -> None:
    nameless = Image(fingerprint="ab12cd")
    hosts = [
        a_host_with(Image(fingerprint="66", aliases=("ab12cd",)), host=EVIL),
        a_host_with(nameless),
    ]

    found = placed(hosts, "ab12cd")

    assert (found.host, found.image) == ("h1", ImageSource(fingerprint="ab12cd"))


def test_a_type_that_is_asked_for_is_made_where_the_image_is_of_it() -> None:
    hosts = [a_host_with(LIE, host="h2"), a_host_with(FOCAL)]

    assert placed(hosts, kind=VIRTUAL_MACHINE).host == "h2"
    assert placed(hosts, kind=CONTAINER).host == "h1"


def test_without_a_type_each_host_makes_what_its_image_is_for() -> None:
    machines = a_host_with(LIE, host="h2")

    assert placed([machines, a_host_with(LIE, host="h3")]).type == VIRTUAL_MACHINE
    assert placed([a_host_with(FOCAL, LIE)]).type == CONTAINER
    assert placed([a_host_with(FOCAL), machines]).type == CONTAINER


def test_a_template_of_the_file_stays_of_its_type() -> None:
    ours = Template("focal", "ubuntu20.04", (ImageSource(alias="focal"),))
    hosts = [a_host_with(LIE, host=EVIL), a_host_with(LIE, host="h2"), a_host_with(FOCAL)]

    found = placed(hosts, file=(ours,))

    assert (found.host, found.type) == ("h1", CONTAINER)
    assert templates.list_templates([ours], hosts)[0].hosts == ["h1"]


def test_an_image_of_another_type_lacks_the_image() -> None:
    with pytest.raises(NoHostFits) as refused:
        placed([a_host_with(FOCAL)], kind=VIRTUAL_MACHINE)

    assert [lack.what for lack in refused.value.lacks["h1"]] == ["image"]


def test_a_template_is_listed_with_what_each_host_has() -> None:
    hosts = [a_host_with(LIE, host=EVIL), a_host_with(FOCAL), a_host_with(FOCAL, host="h2")]

    [listed] = templates.list_templates([], hosts)

    assert (listed.template.type, listed.template.os) == (CONTAINER, "ubuntu20.04")
    assert listed.template.types == (CONTAINER, VIRTUAL_MACHINE)
    assert listed.hosts == [EVIL, "h1", "h2"]
    assert listed.images == (
        StoredImage(CONTAINER, "ubuntu20.04", "x86_64", ["h1", "h2"]),
        StoredImage(VIRTUAL_MACHINE, "evil", "z", [EVIL]),
    )


def test_images_of_no_type_or_name_are_no_templates() -> None:
    hosts = [a_host_with(Image(fingerprint="1", type="nonsense"), Image(fingerprint=""), host=EVIL)]

    assert templates.list_templates([], hosts) == []


ALPINE = ServedImage(aliases=("alpine",), types=(VIRTUAL_MACHINE,), os="alpine3.22")


@pytest.mark.attack
def test_a_servers_image_that_a_host_lies_about_is_usable_elsewhere() -> None:
    lie = ServedImage(aliases=("alpine",), types=(CONTAINER,), os="evil", description="evil")
    shared = {"alpine": ALPINE}
    hosts = [
        a_host_with(host=EVIL, images={"alpine": lie}),
        a_host_with(images=shared),
        a_host_with(host="h2", images=shared),
    ]
    same = replace(hosts[2], remote_images=hosts[1].remote_images)

    found = placed([*hosts[:2], same], "images:alpine")
    [listed] = templates.list_templates([], [*hosts[:2], same])

    assert (found.host, found.type) == ("h1", VIRTUAL_MACHINE)
    assert listed.template.os == "alpine3.22"
