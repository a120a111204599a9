"""Which instances are a host's, of those that its LXD lists."""

from __future__ import annotations

import pytest

from shared.lxd.scope import LxdScope, lxd_projects
from shared.platform.settings import EnvReader


@pytest.mark.parametrize(
    ("variable", "projects"),
    [({}, ("*",)), ({"FLEET_LXD_PROJECTS": "default, shop"}, ("default", "shop"))],
)
def test_all_projects_are_the_fleets_unless_some_are_named(
    variable: dict[str, str], projects: tuple[str, ...]
) -> None:
    assert lxd_projects(EnvReader(variable)) == projects


@pytest.mark.parametrize(
    ("projects", "project", "served"),
    [
        (("*",), "shop", True),
        (("shop",), "shop", True),
        (("shop",), "default", False),
        (("default",), "", True),
    ],
)
def test_a_host_serves_the_projects_that_it_is_told(
    projects: tuple[str, ...], project: str, served: bool
) -> None:
    assert LxdScope(projects).serves(project) is served
    assert LxdScope(projects).covers(project, "none") is served


def test_a_member_of_a_cluster_speaks_for_its_own_instances_only() -> None:
    scope = LxdScope()
    scope.learn("node-1", clustered=True)

    assert scope.covers("default", "node-1")
    assert not scope.covers("default", "node-2")


@pytest.mark.parametrize("location", ["none", ""])
def test_without_a_cluster_the_place_says_nothing(location: str) -> None:
    scope = LxdScope()
    scope.learn("machine", clustered=False)

    assert scope.covers("default", location)


def test_until_lxd_has_said_who_it_is_nothing_is_left_out() -> None:
    assert LxdScope().covers("default", "node-2")
