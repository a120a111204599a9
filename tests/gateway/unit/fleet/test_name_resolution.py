from __future__ import annotations

import pytest

from services.gateway.fleet.name_resolution import require_unique
from shared.contracts.errors import AmbiguousName, AmbiguousProject, InstanceNotFound
from tests.support.views import a_view

SHOP, DEFAULT, ELSEWHERE = (
    a_view("web", project=project, host=host)
    for host, project in (("h1", "shop"), ("h1", "default"), ("h2", "shop"))
)


@pytest.mark.parametrize(
    ("host", "project", "meant"),
    [
        ("h2", None, ELSEWHERE),
        (None, "default", DEFAULT),
        ("h1", "shop", SHOP),
        ("h1", "default", DEFAULT),
    ],
)
def test_a_host_and_a_project_tell_namesakes_apart(
    host: str | None, project: str | None, meant: object
) -> None:
    assert require_unique("web", [SHOP, DEFAULT, ELSEWHERE], host, project) is meant


@pytest.mark.parametrize("project", [None, "shop"])
def test_on_several_hosts_a_host_has_to_be_named(project: str | None) -> None:
    with pytest.raises(AmbiguousName) as refused:
        require_unique("web", [SHOP, DEFAULT, ELSEWHERE], None, project)

    assert refused.value.hosts == "h1, h2"


def test_in_several_projects_of_a_host_a_project_has_to_be_named() -> None:
    with pytest.raises(AmbiguousProject) as refused:
        require_unique("web", [SHOP, DEFAULT, ELSEWHERE], "h1", None)

    assert refused.value.values == ("web", "h1", "default, shop")


@pytest.mark.parametrize(("host", "project"), [("h3", None), (None, "nix"), ("h2", "default")])
def test_where_there_is_none_none_is_found(host: str | None, project: str | None) -> None:
    with pytest.raises(InstanceNotFound):
        require_unique("web", [SHOP, DEFAULT, ELSEWHERE], host, project)
