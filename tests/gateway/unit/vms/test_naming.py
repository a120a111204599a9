from __future__ import annotations

import re

import pytest

from services.gateway.vms.naming import display_name_of, slug, unique_name
from tests.support.builders import a_documented_instance

# As LXD has it.
ALLOWED = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my-vm", "my-vm"),
        ("Web Server", "web-server"),
        ("  Café -- №1!  ", "cafe-no1"),
        ("10 apples", "vm-10-apples"),
        ("网站服务器", "vm"),
        ("---", "vm"),
        ("x" * 80, "x" * 63),
        ("x" * 62 + " y", "x" * 62),
    ],
)
def test_a_slug_resembles_the_name_and_is_one_that_lxd_takes(name: str, expected: str) -> None:
    assert slug(name) == expected
    assert ALLOWED.fullmatch(slug(name))


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("Web", set(), "web"),
        ("Web", {"web"}, "web-2"),
        ("Web", {"web", "web-2", "web-3"}, "web-4"),
        ("x" * 63, {"x" * 63}, "x" * 61 + "-2"),
    ],
)
def test_a_taken_slug_gets_a_number(name: str, taken: set[str], expected: str) -> None:
    assert unique_name(name, taken) == expected


def test_people_call_an_instance_as_they_named_it_or_as_lxd_does() -> None:
    assert display_name_of(a_documented_instance("web", display_name="Web Server")) == "Web Server"
    assert display_name_of(a_documented_instance("web")) == "web"
