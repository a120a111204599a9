"""One instance from an imported backup, created in the year 9999, made every list a 500.

It also froze `/ws/stream` and `/ws/monitor` for everybody, because neither could be encoded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.builders import a_documented_instance
from tests.support.gateway_http import FakeGateway
from tests.support.readers import read_everything
from tests.support.views import a_host_view, view_of

pytestmark = pytest.mark.attack

ONE = (
    "/api/instances/odd",
    "/api/v1/vms/vm-uuid-odd",
    "/api/v1/vms/vm-uuid-odd/metrics",
    "/api/v1/vms/vm-uuid-odd/status",
)
DATES = [
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1970-01-01T00:00:00+14:00",
    "2026-01-20T24:00:00Z",
    "2026-06-30T23:59:60Z",
    "2026-02-30T00:00:00Z",
    "\u0662\u0660\u0662\u0666-01-20T00:00:00Z",
    "\ud800",
    "garbage",
    "",
]


@pytest.fixture(params=["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("date", DATES)
async def test_an_instance_of_any_date_is_shown_beside_the_others(date: str) -> None:
    gateway = FakeGateway(monotonic=time.monotonic)
    gateway.fleet.known_hosts = [a_host_view("h1"), a_host_view("h2")]
    odd, other = a_documented_instance("odd", created_at=date), a_documented_instance("other")
    gateway.fleet.known_instances = [view_of(odd, host="h1"), view_of(other, host="h2")]

    read = await read_everything(gateway, ONE)

    assert read.failed == []
    listed = read.answers["/api/instances"].json()
    assert [(entry["name"], "error" in entry) for entry in listed] == [
        ("odd", False),
        ("other", False),
    ]
    assert [entry["name"] for entry in read.monitor["data"]["instances"]] == ["odd", "other"]
    assert sorted(read.streams["instances"]["entries"]) == ["h1/default/odd", "h2/default/other"]
