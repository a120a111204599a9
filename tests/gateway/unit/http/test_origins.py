from __future__ import annotations

import pytest

from services.gateway.http.origins import host_allowed, origin_allowed


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "expected"),
    [
        ("http://gw:8000", "gw:8000", (), True),
        ("https://gw", "gw", (), True),
        ("https://gw", "GW:443", (), True),
        ("http://gw:80", "gw", (), True),
        ("http://gw:8000", "gw:3000", (), False),
        ("http://gw.evil", "gw", (), False),
        ("null", "null", (), False),
        ("http://[::1", "[::1", (), False),
        ("https://panel.example", "gw", ("https://panel.example/",), True),
        ("https://PANEL.example", "gw", ("https://panel.example",), True),
        ("http://panel.example", "gw", ("https://panel.example",), False),
        ("https://panel.example.evil", "gw", ("https://panel.example",), False),
        ("https://any.example", "gw", ("*",), True),
    ],
)
def test_an_origin_is_ours_or_named(
    origin: str, host: str, allowed: tuple[str, ...], expected: bool
) -> None:
    assert origin_allowed(origin, host, allowed) is expected


@pytest.mark.parametrize(
    ("host", "bind", "expected"),
    [
        ("192.0.2.1:8000", "192.0.2.1", True),
        ("192.0.2.2:8000", "192.0.2.1", False),
        ("192.0.2.2", "0.0.0.0", True),
        ("[2001:db8::1]:8000", "::", True),
        ("gw.example", "0.0.0.0", False),
        ("panel.example", "127.0.0.1", True),
    ],
)
def test_a_host_is_bound_or_that_of_an_allowed_origin(host: str, bind: str, expected: bool) -> None:
    assert host_allowed(host, [(bind, 8000)], ("https://panel.example",)) is expected
